"""What embeddings say about a data set: labels that the neighbours do not share, items that nearly coincide."""

from typing import Any

import numpy as np
import torch

from oml.errors import check
from oml.functional.search import search
from oml.utils.misc_torch import normalise

K = 5  # neighbours asked about a label
MIN_AGREEING = 4  # of them, to name another label
MIN_SIMILARITY = 0.98  # cosine of items that nearly coincide


def read_embeddings(embeddings: Any, n_rows: int) -> torch.Tensor:
    """
    Give embeddings (N, D) as a normalised float tensor.

    Raises:
        InvalidInputError: they are not a matrix with a row for each row of the table, or not finite.

    """
    values = torch.as_tensor(embeddings).float()
    check(
        values.ndim == 2 and len(values) == n_rows,
        f"`embeddings` must have the shape (N, D) with a row for each of the {n_rows} rows of the table, got "
        f"{tuple(values.shape)}.",
    )
    check(bool(torch.isfinite(values).all()), "`embeddings` must be finite, but hold NaN or infinity.")
    return normalise(values)


def find_label_suspects(embeddings: torch.Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the positions of items whose label none of their nearest neighbours has, while these agree on another one.

    Items whose label occurs only once are left out: they cannot have such a neighbour.

    Args:
        embeddings: (N, D).
        labels: (N,), integers.

    Returns:
        The positions and the labels that the neighbours have.

    """
    k = min(K, len(labels) - 1)
    if k < MIN_AGREEING:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ids = torch.arange(len(labels))
    neighbours = search(embeddings, embeddings, k, exclude=[(ids, ids)]).ids.numpy()
    theirs = np.sort(labels[neighbours], axis=1)
    n_items = np.bincount(np.unique(labels, return_inverse=True)[1])[np.unique(labels, return_inverse=True)[1]]
    middle = theirs[:, k // 2]  # whatever most of them have lies in the middle too
    is_suspect = (theirs != labels[:, None]).all(axis=1) & (n_items > 1)
    is_suspect &= (theirs == middle[:, None]).sum(axis=1) >= MIN_AGREEING
    rows = np.flatnonzero(is_suspect)
    return rows, middle[rows]


def find_close(embeddings: torch.Tensor, others: torch.Tensor) -> np.ndarray:
    """Give for each embedding the position of one among the others that nearly coincides with it, or -1, (N,)."""
    if not len(embeddings) or not len(others):
        return np.full(len(embeddings), -1, dtype=np.int64)
    answers = search(embeddings, others, 1)
    is_close = answers.distances[:, 0] ** 2 <= 2 - 2 * MIN_SIMILARITY  # of unit vectors
    return np.asarray(torch.where(is_close, answers.ids[:, 0], -1).numpy())
