from oml.functional.losses.reduction import REDUCTIONS, check_reduction, get_reduced

__all__ = ["REDUCTIONS", "check_reduction", "get_reduced"]
