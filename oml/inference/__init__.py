"""Run a model over a dataset."""

from oml.inference.abstract import inference, pairwise_inference

__all__ = ["inference", "pairwise_inference"]
