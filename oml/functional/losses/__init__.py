from oml.functional.losses.anchors import AnchorLosses, reduce_anchors
from oml.functional.losses.precision import surrogate_precision
from oml.functional.losses.reduction import REDUCTIONS, check_reduction, get_reduced

__all__ = ["REDUCTIONS", "AnchorLosses", "check_reduction", "get_reduced", "reduce_anchors", "surrogate_precision"]
