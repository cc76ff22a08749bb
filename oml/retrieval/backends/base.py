"""What answers a search: one call, the same answers for all; and the exact search, which is the default."""

from collections.abc import Sequence
from typing import Protocol

from oml.functional.search import Answers, search
from oml.functional.search_exclusion import TKeys
from oml.functional.search_metric import TMetric
from oml.functional.search_rows import TMatrix


class ISearchBackend(Protocol):
    """Anything that gives the nearest galleries of queries."""

    def __call__(self, queries: TMatrix, galleries: TMatrix, k: int, *, exclude: Sequence[TKeys] = ()) -> Answers:
        """
        Give the k nearest galleries of each query, nearest first.

        Args:
            queries: (Q, D).
            galleries: (G, D).
            k: answers wanted, at least 1.
            exclude: pairs of integer keys of the queries, (Q,), and of the galleries, (G,); a gallery is no answer to a
                query with an equal key.

        Returns:
            Distances (Q, K) ascending, ids (Q, K) and lengths (Q,), K = min(k, G); places without an answer hold
            infinity and the id -1.

        """
        ...


class Exact:
    """
    The exact search of `oml.functional.search`, on a CPU or where the tensors are.

    Args:
        metric: `l2`, `cosine` or `ip`.
        max_memory: bytes to take beyond the input and the answers; a default that suits the machine if None.

    Example:
        >>> import torch
        >>> Exact("ip")(torch.tensor([[1.0]]), torch.tensor([[2.0], [3.0]]), k=1)
        Answers(distances=tensor([[-3.]]), ids=tensor([[1]]), lengths=tensor([1]))

    """

    def __init__(self, metric: TMetric = "l2", max_memory: int | None = None):
        self.metric, self.max_memory = metric, max_memory

    def __call__(self, queries: TMatrix, galleries: TMatrix, k: int, *, exclude: Sequence[TKeys] = ()) -> Answers:
        """See `ISearchBackend`."""
        return search(queries, galleries, k, metric=self.metric, exclude=exclude, max_memory=self.max_memory)
