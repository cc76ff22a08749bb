"""Models of transformers as the text of their configs, and tokenizers as the files that transformers writes."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from oml.errors import InvalidInputError, check

MODEL = "$transformers"
TOKENIZER_FOLDER = "tokenizer"
_INSTALL = "Texts need transformers: pip install open-metric-learning[nlp]"
# Names of places, and of code to fetch: a config of a bundle has neither.
_LEFT_OUT = ("_name_or_path", "auto_map", "attn_implementation", "_attn_implementation", "quantization_config")
# Models within a model that transformers makes by their names, by timm or from a repository.
_WITHIN = ("backbone", "backbone_config", "use_pretrained_backbone", "model_args", "architecture")
_OPTIONS = ("add_pooling_layer",)  # what a constructor takes beside the config
# What constructors raise for arguments that make no sense.
CONSTRUCTION_ERRORS = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    MemoryError,
)


def is_transformers_model(value: Any) -> bool:
    """Tell whether it is a model of transformers, without importing the library."""
    transformers = sys.modules.get("transformers")
    return transformers is not None and isinstance(value, transformers.PreTrainedModel)


def is_tokenizer(value: Any) -> bool:
    """Tell whether it is a tokenizer of transformers, without importing the library."""
    transformers = sys.modules.get("transformers")
    return transformers is not None and isinstance(value, transformers.PreTrainedTokenizerBase)


def encode_model(model: Any) -> dict[str, Any]:
    """
    Give the class and the config of a model of transformers; its weights are kept elsewhere.

    Raises:
        InvalidInputError: its class is not one of the library.

    """
    name, module = type(model).__name__, type(model).__module__
    check(
        module.split(".")[0] == "transformers",
        f"{name} of {module} is no class of transformers itself, and a bundle carries no code. Use a model whose class "
        "is in the library, or wrap yours in an extractor whose get_init_args() gives plain values.",
    )
    config = json.loads(model.config.to_json_string(use_diff=False))
    found = {MODEL: name, "config": _drop_places(config)}
    if getattr(model, "pooler", model) is None and "add_pooling_layer" in inspect.signature(type(model)).parameters:
        found["args"] = {"add_pooling_layer": False}
    return found


def decode_model(spec: dict[str, Any], where: str) -> Any:
    """
    Make a model of transformers, with random weights, from what `encode_model` has given.

    Raises:
        ImportError: transformers is not installed.
        InvalidInputError: the library has no such model, cannot make it from the config, or would fetch a part of it.

    """
    transformers = _import_transformers()
    from huggingface_hub import errors

    name, config, args = str(spec[MODEL]), spec.get("config"), spec.get("args", {})
    owner: Any = getattr(transformers, name, None)
    is_model = isinstance(owner, type) and issubclass(owner, transformers.PreTrainedModel)
    check(is_model, f"{where} names the model {name!r}, which transformers {transformers.__version__} does not have.")
    if not isinstance(config, dict):
        raise InvalidInputError(f"{where}: the config of {name} must be a mapping, got {config!r}.")
    known = isinstance(args, dict) and all(key in _OPTIONS and isinstance(on, bool) for key, on in args.items())
    check(known, f"{where}: {name} may be given the options {', '.join(_OPTIONS)} (true or false), got {args!r}.")
    within = sorted(_find_within(config))
    check(
        not within,
        f"{where}: the config of {name} names a model within it ({', '.join(within)}), which would be made from files "
        "of elsewhere, and a bundle is complete in itself. Wrap such a model in an extractor of your own.",
    )
    # newer configs have checks of their own, with a class of errors of their own
    config_errors = getattr(errors, "StrictDataclassError", TypeError)
    try:
        return owner(owner.config_class.from_dict(_drop_places(config)), **args)
    except (*CONSTRUCTION_ERRORS, config_errors) as error:
        raise InvalidInputError(
            f"{where}: transformers {transformers.__version__} cannot make {name} from the config: {error}. "
            "The versions that the bundle was written with are in its bundle.json."
        ) from error


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the files of a tokenizer into the folder of a bundle."""
    tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)


def load_tokenizer(folder: Path) -> Any:
    """
    Read a tokenizer from the folder of a bundle; code that the files name is not run.

    Raises:
        ImportError: transformers is not installed.
        InvalidInputError: the files are missing, damaged or need code of their own.

    """
    transformers = _import_transformers()
    place = folder / TOKENIZER_FOLDER
    try:
        return transformers.AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise InvalidInputError(f"The tokenizer in {place} cannot be read: {error}. Save the bundle again.") from error


def _drop_places(config: Any) -> Any:
    if isinstance(config, list):
        return [_drop_places(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {key: _drop_places(value) for key, value in config.items() if key not in _LEFT_OUT}


def _find_within(config: Any) -> set[str]:
    if isinstance(config, list):
        return set().union(*map(_find_within, config))
    if not isinstance(config, dict):
        return set()
    return {key for key, value in config.items() if key in _WITHIN and value}.union(*map(_find_within, config.values()))


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    return transformers
