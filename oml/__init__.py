"""OML: train, validate and ship models that produce embeddings."""

__version__ = "0.1.0"

_BUNDLES = ("load_bundle", "pull_bundle", "push_bundle", "save_bundle")


def __getattr__(name: str) -> object:
    if name not in _BUNDLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # here, so that the package itself stays free of everything

    return getattr(import_module("oml.bundles"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_BUNDLES})
