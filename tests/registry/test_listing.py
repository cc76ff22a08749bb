import oml.registry
from oml.registry.listing import REGISTRIES, show_registry


def test_every_name_is_shown(capsys):
    assert show_registry() is None
    shown = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert {kind: names.split(", ") for kind, names in shown.items()} == {k: sorted(r) for k, r in REGISTRIES.items()}


def test_names_of_the_package():
    kinds = "LOSSES MINERS EXTRACTORS PAIRWISE_MODELS OPTIMIZERS SAMPLERS SCHEDULERS TRANSFORMS POSTPROCESSORS"
    registries = [getattr(oml.registry, f"{kind}_REGISTRY") for kind in kinds.split()]
    assert {id(registry) for registry in registries} == {id(registry) for registry in REGISTRIES.values()}
