from oml.retrieval.postprocessors.algo import AdaptiveThresholding, ConstantThresholding
from oml.retrieval.postprocessors.fusion import ReciprocalRankFusion
from oml.retrieval.postprocessors.pairwise import PairwiseReranker
from oml.retrieval.postprocessors.reranking import (
    AlphaQueryExpansion,
    ASNorm,
    DatabaseAugmentation,
    KReciprocalReranker,
    ZNorm,
)

__all__ = [
    "ASNorm",
    "AdaptiveThresholding",
    "AlphaQueryExpansion",
    "ConstantThresholding",
    "DatabaseAugmentation",
    "KReciprocalReranker",
    "PairwiseReranker",
    "ReciprocalRankFusion",
    "ZNorm",
]
