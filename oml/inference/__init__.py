"""Run a model over a dataset."""

from oml.inference.abstract import inference, inference_cached, pairwise_inference

__all__ = ["inference", "inference_cached", "pairwise_inference"]
