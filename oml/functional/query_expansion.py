"""Vectors replaced by a weighted mean of themselves and their nearest neighbours."""

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.distances import normalise
from oml.functional.pairs import calc_square_distances
from oml.functional.search import search

_BLOCK = 2**21  # numbers held at once


def expand_by_neighbours(vectors: Tensor, galleries: Tensor, neighbour_ids: Tensor, alpha: float = 3.0) -> Tensor:
    """
    Give `normalise(x + sum of cos(x, g)^alpha * g)` for each vector x and its neighbours g, (n, D); all normalised
    before.

    This is alpha query expansion: Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
    TPAMI 2019, section 3.4; with alpha = 0 it is the average query expansion of Chum et al., ICCV 2007. The vector
    itself takes part with the weight 1. A cosine below zero counts as zero, at any alpha.

    Args:
        vectors: float (n, D).
        galleries: float (G, D).
        neighbour_ids: rows of the galleries, (n, k); negative ones are absent.
        alpha: larger values give less weight to farther neighbours.

    Raises:
        InvalidInputError: alpha is negative.

    Example:
        >>> expand_by_neighbours(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.6, 0.8]]), torch.tensor([[0]]), alpha=0)
        tensor([[0.8944, 0.4472]])

    """
    check(alpha >= 0, f"`alpha` must not be negative, got {alpha}.")
    vectors = normalise(vectors)
    if not len(galleries) or not neighbour_ids.shape[1]:
        return vectors
    expanded = torch.empty_like(vectors)
    step = max(1, _BLOCK // max(1, neighbour_ids.shape[1] * vectors.shape[1]))
    for start in range(0, len(vectors), step):
        ids, own = neighbour_ids[start : start + step], vectors[start : start + step]
        near = normalise(galleries[ids.clamp(min=0)].flatten(0, 1).to(own)).view(*ids.shape, -1)
        cosines = (near @ own[:, :, None])[:, :, 0]
        weights = cosines.clamp(min=0).pow(alpha).masked_fill((ids < 0) | (cosines <= 0), 0)
        expanded[start : start + step] = own + (weights[:, None] @ near)[:, 0]
    return normalise(expanded)


def augment_database(galleries: Tensor, k: int = 10, alpha: float = 3.0, max_memory: int | None = None) -> Tensor:
    """
    Give each gallery expanded by its k nearest other galleries, (G, D), normalised.

    Database-side augmentation: Turcot and Lowe, 2009; Arandjelovic and Zisserman, "Three things everyone should know to
    improve object retrieval", CVPR 2012, section 4; weighted as in `expand_by_neighbours`, where they take plain sums.

    Args:
        galleries: float (G, D).
        k: how many neighbours take part, at least 1; all where there are fewer.
        alpha: of `expand_by_neighbours`.
        max_memory: bytes for the search, as `search` takes them.

    Raises:
        InvalidInputError: k < 1, alpha is negative, NaN or infinite numbers.

    """
    check(k >= 1, f"`k` must be at least 1, got {k}.")
    galleries = normalise(galleries)
    if len(galleries) < 2:
        return galleries
    items = torch.arange(len(galleries), device=galleries.device)
    found = search(galleries, galleries, min(k, len(galleries) - 1), exclude=[(items, items)], max_memory=max_memory)
    return expand_by_neighbours(galleries, galleries, found.ids, alpha)


def calc_distances_to_candidates(queries: Tensor, galleries: Tensor, candidate_ids: Tensor) -> Tensor:
    """Give the L2 distances of each query to its candidates, (Q, K); infinity where the id is negative."""
    rows = torch.arange(len(queries), device=queries.device)
    return calc_square_distances(queries, rows, galleries, candidate_ids).sqrt_()
