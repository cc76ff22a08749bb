"""Criteria by name; those of pytorch-metric-learning as `pml.` and their own name."""

from typing import Any

from torch import nn

from oml.const import TCfg
from oml.registry.miners import MINERS_REGISTRY
from oml.registry.pml import PREFIX, get_pml_constructor
from oml.registry.registry import Registry

_L = "oml.losses"

LOSSES_REGISTRY = Registry(
    "criterion",
    {
        "arcface": f"{_L}:ArcFaceLoss",
        "circle": f"{_L}:CircleLoss",
        "contrastive": f"{_L}:ContrastiveLoss",
        "cosface": f"{_L}:CosFaceLoss",
        "cross_batch_memory": f"{_L}:CrossBatchMemory",
        "fast_ap": f"{_L}:FastAPLoss",
        "info_nce": f"{_L}:InfoNCE",
        "lifted_structure": f"{_L}:LiftedStructureLoss",
        "matryoshka": f"{_L}:MatryoshkaLoss",
        "mlp_arcface": f"{_L}:ArcFaceLossWithMLP",
        "multi_similarity": f"{_L}:MultiSimilarityLoss",
        "normalised_softmax": f"{_L}:NormalisedSoftmaxLoss",
        "nt_xent": f"{_L}:NTXentLoss",
        "proxy_anchor": f"{_L}:ProxyAnchorLoss",
        "proxy_nca": f"{_L}:ProxyNCALoss",
        "recall_at_k": f"{_L}:RecallAtKLoss",
        "semi_hard_triplet": f"{_L}:SemiHardTripletLoss",
        "siglip": f"{_L}:SigLIPLoss",
        "smooth_ap": f"{_L}:SmoothAPLoss",
        "soft_triple": f"{_L}:SoftTripleLoss",
        "subcenter_arcface": f"{_L}:SubCenterArcFaceLoss",
        "sup_con": f"{_L}:SupConLoss",
        "surrogate_precision": f"{_L}:SurrogatePrecision",
        "triplet": f"{_L}:TripletLoss",
        "triplet_plain": f"{_L}:TripletLossPlain",
        "triplet_with_miner": f"{_L}:TripletLossWithMiner",
    },
    nested={"miner": MINERS_REGISTRY},
    libraries={PREFIX: get_pml_constructor},
)
LOSSES_REGISTRY.nested |= {"loss": LOSSES_REGISTRY, "criterion": LOSSES_REGISTRY}


def get_criterion(name: str, **kwargs: Any) -> nn.Module:
    """
    Build a criterion by its name in `LOSSES_REGISTRY`, or a loss of pytorch-metric-learning by `pml.` and its name.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the criterion does not take an argument, or lacks one.

    Example:
        >>> get_criterion("triplet_with_miner", margin=0.2, miner={"name": "hard_triplets"})
        TripletLossWithMiner(margin=0.2, miner=HardTripletsMiner, reduction='mean')

    """
    criterion: nn.Module = LOSSES_REGISTRY.build(name, **kwargs)
    return criterion


def get_criterion_by_cfg(cfg: TCfg, **kwargs_runtime: Any) -> nn.Module:
    """
    Build the criterion that a config `{"name": ..., "args": {...}}` describes; `miner` and `loss` may be configs.

    Args:
        cfg: the config.
        kwargs_runtime: what only the program knows, such as `label2category`; a criterion takes what it needs of it.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the criterion does not take an argument, or lacks one.

    """
    criterion: nn.Module = LOSSES_REGISTRY.build_by_cfg(cfg, **kwargs_runtime)
    return criterion
