from oml.retrieval.ground_truth import LabelGroundTruth, ListedGroundTruth
from oml.retrieval.postprocessors import (
    AdaptiveThresholding,
    AlphaQueryExpansion,
    ASNorm,
    ConstantThresholding,
    DatabaseAugmentation,
    KReciprocalReranker,
    PairwiseReranker,
    ReciprocalRankFusion,
    ZNorm,
)
from oml.retrieval.retrieval_results import RetrievalResults

__all__ = [
    "ASNorm",
    "AdaptiveThresholding",
    "AlphaQueryExpansion",
    "ConstantThresholding",
    "DatabaseAugmentation",
    "KReciprocalReranker",
    "LabelGroundTruth",
    "ListedGroundTruth",
    "PairwiseReranker",
    "ReciprocalRankFusion",
    "RetrievalResults",
    "ZNorm",
]
