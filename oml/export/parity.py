"""The proof that an exported file does what the extractor does: embeddings and metrics on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oml.errors import InvalidInputError
from oml.interfaces.datasets import IQueryGalleryLabeledDataset
from oml.metrics import Comparison, compare
from oml.retrieval import RetrievalResults

# The smallest cosine of an item that is accepted. Rounding to float32 in another order, to float16, weights to 8 bits.
MIN_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.95}
METRICS = ("cmc@1", "map@5")


class ParityError(InvalidInputError):
    """The exported file departs too far from the extractor."""


@dataclass(frozen=True)
class Parity:
    """
    How near the embeddings of an exported file are to those of the extractor, on a data set.

    Attributes:
        n_items: The number of items.
        min_cosine: The smallest cosine of an item's two embeddings.
        mean_cosine: The mean over items.
        comparisons: The metrics of the exported file minus those of the extractor, with intervals.

    """

    n_items: int
    min_cosine: float
    mean_cosine: float
    comparisons: tuple[Comparison, ...]

    def find_faults(self, min_cosine: float, max_drop: float) -> list[str]:
        """Say what is over the tolerances, nothing if all is well."""
        faults = []
        if not self.min_cosine >= min_cosine:  # NaN too
            faults.append(f"the smallest cosine is {self.min_cosine:.6f}, under {min_cosine:g}")
        faults += [
            f"{c.metric} drops by {-c.difference:.4f}, over {max_drop:g}"
            for c in self.comparisons
            if not c.difference >= -max_drop
        ]
        return faults

    def describe(self) -> str:
        """Give a text of a few lines."""
        lines = [f"{self.n_items} items; cosine: min {self.min_cosine:.6f}, mean {self.mean_cosine:.6f}"]
        for c in self.comparisons:
            interval = c.over_labels or c.over_queries
            lines.append(
                f"{c.metric}: {c.mean_b:.4f} -> {c.mean_a:.4f}, change {c.difference:+.4f} "
                f"(95 %: {interval.low:+.4f} to {interval.high:+.4f})"
            )
        return "\n".join(lines)


def calc_parity(
    expected: Tensor, found: Tensor, dataset: IQueryGalleryLabeledDataset, metrics: Sequence[str] = METRICS
) -> Parity:
    """
    Compare two sets of embeddings (N, D) of one data set.

    Args:
        expected: Of the extractor.
        found: Of the exported file.
        dataset: Has the labels, queries and galleries.
        metrics: Names, as in `oml.metrics.evaluate`.

    Raises:
        ParityError: the shapes differ.

    """
    if expected.shape != found.shape:
        raise ParityError(f"The exported file gives embeddings {list(found.shape)} instead of {list(expected.shape)}.")
    cosines = calc_cosines(expected, found)
    if not found.isfinite().all():
        return Parity(len(cosines), float("nan"), float("nan"), ())
    rr, rr_found = (RetrievalResults.from_embeddings(e.float(), dataset) for e in (expected, found))
    comparisons = tuple(compare(rr_found, rr, metric) for metric in metrics)
    return Parity(len(cosines), cosines.min().item(), cosines.mean().item(), comparisons)


def calc_cosines(expected: Tensor, found: Tensor) -> Tensor:
    """
    Give the cosine of each pair of rows (N,), in float64; 1 for two zero rows.

    Example:
        >>> calc_cosines(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])).tolist()
        [0.7071067811865475, 1.0]

    """
    expected, found = expected.double(), found.double()
    both_zero = (expected == 0).all(dim=1) & (found == 0).all(dim=1)
    norms = expected.norm(dim=1) * found.norm(dim=1)
    return torch.where(both_zero, 1.0, (expected * found).sum(dim=1) / norms)
