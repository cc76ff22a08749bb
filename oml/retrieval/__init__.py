from oml.retrieval.ground_truth import LabelGroundTruth, ListedGroundTruth
from oml.retrieval.retrieval_results import RetrievalResults

__all__ = ["LabelGroundTruth", "ListedGroundTruth", "RetrievalResults"]
