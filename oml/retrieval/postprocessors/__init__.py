from oml.retrieval.postprocessors.algo import AdaptiveThresholding, ConstantThresholding
from oml.retrieval.postprocessors.pairwise import PairwiseReranker

__all__ = ["AdaptiveThresholding", "ConstantThresholding", "PairwiseReranker"]
