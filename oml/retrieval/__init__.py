from oml.retrieval.ground_truth import LabelGroundTruth, ListedGroundTruth
from oml.retrieval.postprocessors import AdaptiveThresholding, ConstantThresholding, PairwiseReranker
from oml.retrieval.retrieval_results import RetrievalResults

__all__ = [
    "AdaptiveThresholding",
    "ConstantThresholding",
    "LabelGroundTruth",
    "ListedGroundTruth",
    "PairwiseReranker",
    "RetrievalResults",
]
