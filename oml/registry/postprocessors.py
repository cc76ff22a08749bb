"""Postprocessors of retrieval results by name."""

from typing import Any

from oml.const import TCfg
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.registry.models import PAIRWISE_MODELS_REGISTRY
from oml.registry.registry import Registry

_P = "oml.retrieval.postprocessors"

POSTPROCESSORS_REGISTRY = Registry(
    "postprocessor",
    {
        "adaptive_thresholding": f"{_P}:AdaptiveThresholding",
        "alpha_query_expansion": f"{_P}:AlphaQueryExpansion",
        "as_norm": f"{_P}:ASNorm",
        "constant_thresholding": f"{_P}:ConstantThresholding",
        "database_augmentation": f"{_P}:DatabaseAugmentation",
        "k_reciprocal": f"{_P}:KReciprocalReranker",
        "pairwise_reranker": f"{_P}:PairwiseReranker",
        "reciprocal_rank_fusion": f"{_P}:ReciprocalRankFusion",
        "z_norm": f"{_P}:ZNorm",
    },
    nested={"pairwise_model": PAIRWISE_MODELS_REGISTRY},
)


def get_postprocessor(name: str, **kwargs: Any) -> IRetrievalPostprocessor:
    """
    Build a postprocessor by its name in `POSTPROCESSORS_REGISTRY`; its `pairwise_model` may be a config.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the postprocessor does not take an argument, or lacks one.

    Example:
        >>> get_postprocessor("constant_thresholding", th=0.8).th
        0.8

    """
    postprocessor: IRetrievalPostprocessor = POSTPROCESSORS_REGISTRY.build(name, **kwargs)
    return postprocessor


def get_postprocessor_by_cfg(cfg: TCfg, **kwargs_runtime: Any) -> IRetrievalPostprocessor:
    """
    Build the postprocessor that a config `{"name": ..., "args": {...}}` describes.

    Args:
        cfg: the config.
        kwargs_runtime: what no config can hold: the `cohort` of score normalisation, the `others` of fusion; those
            that the postprocessor does not take are left out.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the postprocessor does not take an argument, or lacks one.

    """
    postprocessor: IRetrievalPostprocessor = POSTPROCESSORS_REGISTRY.build_by_cfg(cfg, **kwargs_runtime)
    return postprocessor
