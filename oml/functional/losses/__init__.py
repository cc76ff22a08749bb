from oml.functional.losses.anchors import AnchorLosses, reduce_anchors
from oml.functional.losses.classification import (
    arcface_loss,
    cosface_loss,
    normalised_softmax_loss,
    subcenter_arcface_loss,
)
from oml.functional.losses.contrastive import contrastive_loss, lifted_structure_loss
from oml.functional.losses.precision import surrogate_precision
from oml.functional.losses.proxies import proxy_anchor_loss, proxy_nca_loss, soft_triple_loss
from oml.functional.losses.ranking import fast_ap_loss, recall_at_k_loss, smooth_ap_loss
from oml.functional.losses.reduction import REDUCTIONS, check_reduction, get_reduced
from oml.functional.losses.semi_hard import semi_hard_triplet_loss
from oml.functional.losses.softmax_pairs import circle_loss, multi_similarity_loss, nt_xent_loss, sup_con_loss
from oml.functional.losses.two_towers import info_nce_loss, sigmoid_loss

__all__ = [
    "REDUCTIONS",
    "AnchorLosses",
    "arcface_loss",
    "check_reduction",
    "circle_loss",
    "contrastive_loss",
    "cosface_loss",
    "fast_ap_loss",
    "get_reduced",
    "info_nce_loss",
    "lifted_structure_loss",
    "multi_similarity_loss",
    "normalised_softmax_loss",
    "nt_xent_loss",
    "proxy_anchor_loss",
    "proxy_nca_loss",
    "recall_at_k_loss",
    "reduce_anchors",
    "semi_hard_triplet_loss",
    "sigmoid_loss",
    "smooth_ap_loss",
    "soft_triple_loss",
    "subcenter_arcface_loss",
    "sup_con_loss",
    "surrogate_precision",
]
