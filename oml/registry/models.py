"""Extractors and pairwise models by name."""

from collections.abc import Mapping
from typing import Any
from warnings import warn

from oml.const import TCfg
from oml.errors import check
from oml.interfaces.models import IExtractor, IPairwiseModel
from oml.registry.registry import Registry

_M = "oml.models"


class _ModelsRegistry(Registry):
    """Models among whose arguments may be the config of an extractor."""

    def build(self, name: str, /, **kwargs: Any) -> Any:
        extractor_cfg = kwargs.get("extractor")
        if isinstance(extractor_cfg, Mapping):
            raise_if_needed(extractor_cfg, kwargs, name)
        return super().build(name, **kwargs)


EXTRACTORS_REGISTRY = _ModelsRegistry(
    "extractor",
    {
        "char": f"{_M}:CharExtractor",
        "conv": f"{_M}:ConvExtractor",
        "ecapa_tdnn": f"{_M}:ECAPATDNNExtractor",
        "extractor_with_mlp": f"{_M}:ExtractorWithMLP",
        "hf": f"{_M}:HFWrapper",
        "resnet": f"{_M}:ResnetExtractor",
        "sentence_transformer": f"{_M}:SentenceTransformerExtractor",
        "timm": f"{_M}:TimmExtractor",
        "vit": f"{_M}:ViTExtractor",
        "vit_clip": f"{_M}:ViTCLIPExtractor",
        "vit_unicom": f"{_M}:ViTUnicomExtractor",
    },
)
EXTRACTORS_REGISTRY.nested["extractor"] = EXTRACTORS_REGISTRY

PAIRWISE_MODELS_REGISTRY = _ModelsRegistry(
    "pairwise model",
    {
        "concat_siamese": f"{_M}:ConcatSiamese",
        "linear_siamese": f"{_M}:LinearTrivialDistanceSiamese",
        "trivial_distance_siamese": f"{_M}:TrivialDistanceSiamese",
    },
    nested={"extractor": EXTRACTORS_REGISTRY},
)


def raise_if_needed(extractor_cfg: TCfg, kwargs: Mapping[str, Any], model_name: str) -> None:
    """
    Check that a model and the extractor inside of it are not both told to load weights.

    Args:
        extractor_cfg: The config of the extractor inside.
        kwargs: The arguments of the model around it.
        model_name: The model's name, for the message.

    Raises:
        InvalidInputError: both have `weights`: those of the model would replace those of the extractor.

    Warns:
        UserWarning: only the model has `weights`, which fill the extractor, too.

    Example:
        >>> raise_if_needed({"name": "vit", "args": {"weights": "vits16_dino"}}, {"weights": None}, "concat_siamese")

    """
    inner, outer = (extractor_cfg.get("args") or {}).get("weights"), kwargs.get("weights")
    if outer is None:
        return
    check(
        inner is None,
        f"{model_name!r} has weights={str(outer)!r}, and the extractor inside of it has weights={str(inner)!r}: the "
        f"first would replace the second. Set weights of the extractor to null to load the whole model, or those of "
        f"{model_name!r} to begin with a trained extractor.",
    )
    warn(
        f"The extractor inside of {model_name!r} has no weights of its own: it gets them from weights={str(outer)!r} "
        f"of the whole model.",
        stacklevel=2,
    )


def get_extractor(model_name: str, **kwargs: Any) -> IExtractor:
    """
    Build an extractor by its name in `EXTRACTORS_REGISTRY`; an `extractor` among the arguments may be a config.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the extractor does not take an argument, or lacks one.

    Example:
        >>> get_extractor("conv", im_size=16, feat_dim=5).feat_dim
        5

    """
    extractor: IExtractor = EXTRACTORS_REGISTRY.build(model_name, **kwargs)
    return extractor


def get_extractor_by_cfg(cfg: TCfg) -> IExtractor:
    """
    Build the extractor that a config `{"name": ..., "args": {...}}` describes.

    Raises:
        InvalidInputError: the config has other keys, or weights are given twice (see `raise_if_needed`).
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the extractor does not take an argument, or lacks one.

    """
    extractor: IExtractor = EXTRACTORS_REGISTRY.build_by_cfg(cfg)
    return extractor


def get_pairwise_model(model_name: str, **kwargs: Any) -> IPairwiseModel:
    """
    Build a pairwise model by its name in `PAIRWISE_MODELS_REGISTRY`; its `extractor` may be a config.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the model does not take an argument, or lacks one.

    Example:
        >>> cfg = {"name": "conv", "args": {"im_size": 16}}
        >>> type(get_pairwise_model("trivial_distance_siamese", extractor=cfg)).__name__
        'TrivialDistanceSiamese'

    """
    model: IPairwiseModel = PAIRWISE_MODELS_REGISTRY.build(model_name, **kwargs)
    return model


def get_pairwise_model_by_cfg(cfg: TCfg) -> IPairwiseModel:
    """
    Build the pairwise model that a config `{"name": ..., "args": {...}}` describes.

    Raises:
        InvalidInputError: the config has other keys, or weights are given twice (see `raise_if_needed`).
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the model does not take an argument, or lacks one.

    """
    model: IPairwiseModel = PAIRWISE_MODELS_REGISTRY.build_by_cfg(cfg)
    return model
