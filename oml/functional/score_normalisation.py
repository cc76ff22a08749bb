"""Distances measured in standard deviations of the distances to a cohort of other items."""

from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.search import search

_BLOCK = 2**22  # numbers held at once


class CohortStatistics(NamedTuple):
    """Mean and standard deviation of the squared distances of items to a cohort, both (n,)."""

    mean: Tensor
    std: Tensor


def calc_cohort_statistics(
    vectors: Tensor, cohort: Tensor, top_n: int | None = None, max_memory: int | None = None
) -> CohortStatistics:
    """
    Give mean and standard deviation (of the population) of the squared L2 distances to the nearest of a cohort.

    Of normalised vectors these are 2 - 2 * cosine, so that standardised squared distances are standardised cosines with
    the sign changed.

    Args:
        vectors: float (n, D).
        cohort: float (C, D): items of other classes than those that are compared, such as training data.
        top_n: how many nearest ones are looked at; the whole cohort by default.
        max_memory: bytes for the search, as `search` takes them.

    Raises:
        InvalidInputError: `top_n` or the cohort is less than 2, NaN or infinite numbers.

    """
    check(len(cohort) >= 2, f"`cohort` must have at least 2 rows, got {len(cohort)}.")
    check(top_n is None or top_n >= 2, f"`top_n` must be at least 2, got {top_n}.")
    width = len(cohort) if top_n is None else min(top_n, len(cohort))
    means, stds = [vectors.new_zeros(0, dtype=torch.float64)], [vectors.new_zeros(0, dtype=torch.float64)]
    step = max(1, _BLOCK // width)
    for start in range(0, len(vectors), step):
        found = search(vectors[start : start + step], cohort, width, max_memory=max_memory)
        squares = found.distances.double().square()
        means.append(squares.mean(1))
        stds.append(squares.std(1, correction=0))
    return CohortStatistics(torch.cat(means), torch.cat(stds))


def standardise(squares: Tensor, statistics: CohortStatistics) -> Tensor:
    """
    Give (square - mean) / std, where the statistics are shaped to fit the squared distances.

    Where all of the cohort is equally far, so that the deviation is 0, only the mean is taken off.
    """
    std = torch.where(statistics.std > 0, statistics.std, 1.0)
    return (squares - statistics.mean) / std


def z_norm(squares: Tensor, ids: Tensor, of_galleries: CohortStatistics) -> Tensor:
    """
    Give squared distances (Q, K) standardised by the statistics of their galleries; absent ones (negative ids) stay.

    Z-norm: Auckenthaler, Carey, Lloyd-Thomas, "Score Normalization for Text-Independent Speaker Verification Systems",
    2000, section 3, the gallery being the model of the speaker.

    Example:
        >>> statistics = CohortStatistics(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.5]))
        >>> z_norm(torch.tensor([[1.0, 3.0]]), torch.tensor([[1, 0]]), statistics)
        tensor([[-2.,  2.]])

    """
    return standardise(squares, _take(of_galleries, ids)).to(squares).masked_fill_(ids < 0, torch.inf)


def as_norm(squares: Tensor, ids: Tensor, of_queries: CohortStatistics, of_galleries: CohortStatistics) -> Tensor:
    """
    Give the mean of the squared distances (Q, K) standardised by the queries' and by the galleries' statistics.

    Adaptive symmetric normalisation: Matejka et al., "Analysis of Score Normalization in Multilingual Speaker
    Recognition", Interspeech 2017, section 2 (AS-norm1): the statistics are those of the nearest of the cohort.
    """
    by_query = standardise(squares, CohortStatistics(*(values[:, None] for values in of_queries)))
    by_gallery = standardise(squares, _take(of_galleries, ids))
    return ((by_query + by_gallery) / 2).to(squares).masked_fill_(ids < 0, torch.inf)


def _take(statistics: CohortStatistics, ids: Tensor) -> CohortStatistics:
    return CohortStatistics(*(values[ids.clamp(min=0)] for values in statistics))
