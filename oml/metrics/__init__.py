from oml.metrics.comparison import Comparison, compare
from oml.metrics.confidence import Estimate, Interval
from oml.metrics.embeddings import (
    EmbeddingMetrics,
    calc_fnmr_at_fmr_rr,
    calc_retrieval_metrics_rr,
    calc_topological_metrics,
)
from oml.metrics.evaluation import evaluate
from oml.metrics.verification import VerificationMetrics, calc_verification_metrics

__all__ = [
    "Comparison",
    "EmbeddingMetrics",
    "Estimate",
    "Interval",
    "VerificationMetrics",
    "calc_fnmr_at_fmr_rr",
    "calc_retrieval_metrics_rr",
    "calc_topological_metrics",
    "calc_verification_metrics",
    "compare",
    "evaluate",
]
