from oml.functional.metrics.cmc import calc_cmc, cmc_at
from oml.functional.metrics.fnmr import calc_fnmr_at_fmr, calc_fnmr_at_fmr_by_distances
from oml.functional.metrics.hits import Hits
from oml.functional.metrics.map_at_r import map_at_r
from oml.functional.metrics.map_standard import map_standard_at
from oml.functional.metrics.map_trec import map_trec_at
from oml.functional.metrics.mean_average_precision import calc_map, map_at
from oml.functional.metrics.minp import minp
from oml.functional.metrics.ndcg import ndcg_at
from oml.functional.metrics.pcf import calc_pcf
from oml.functional.metrics.precision import calc_precision, precision_at
from oml.functional.metrics.precision_standard import precision_standard_at
from oml.functional.metrics.r_precision import r_precision
from oml.functional.metrics.recall import recall_at
from oml.functional.metrics.reciprocal_rank import mrr, mrr_at
from oml.functional.metrics.reduction import TMetricsDict, reduce_metrics, take_unreduced_metrics_by_mask
from oml.functional.metrics.retrieval import calc_metrics_of_hits, calc_retrieval_metrics
from oml.functional.metrics.topology import calc_topological_metrics

__all__ = [
    "Hits",
    "TMetricsDict",
    "calc_cmc",
    "calc_fnmr_at_fmr",
    "calc_fnmr_at_fmr_by_distances",
    "calc_map",
    "calc_metrics_of_hits",
    "calc_pcf",
    "calc_precision",
    "calc_retrieval_metrics",
    "calc_topological_metrics",
    "cmc_at",
    "map_at",
    "map_at_r",
    "map_standard_at",
    "map_trec_at",
    "minp",
    "mrr",
    "mrr_at",
    "ndcg_at",
    "precision_at",
    "precision_standard_at",
    "r_precision",
    "recall_at",
    "reduce_metrics",
    "take_unreduced_metrics_by_mask",
]
