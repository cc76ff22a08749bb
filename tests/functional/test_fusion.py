import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.fusion import fuse_reciprocal_ranks
from tests.reference.reranking import fuse_one

LIST = st.lists(st.integers(0, 9), unique=True, max_size=6)


def pad(rows):
    width = max(map(len, rows), default=0)
    return torch.tensor([row + [-1] * (width - len(row)) for row in rows], dtype=torch.int64).view(len(rows), width)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), n_queries=st.integers(0, 4), n_lists=st.integers(1, 4), k=st.sampled_from([0, 1, 60]))
def test_fusion(data, n_queries, n_lists, k):
    lists = [[data.draw(LIST) for _ in range(n_queries)] for _ in range(n_lists)]
    distances, ids = fuse_reciprocal_ranks([pad(rows) for rows in lists], k)
    expected = [fuse_one([rows[q] for rows in lists], k) for q in range(n_queries)]
    best = n_lists / (k + 1)
    assert ids.tolist() == pad([[i for i, _ in row] for row in expected]).tolist()
    for found, row in zip(distances.tolist(), expected, strict=True):
        assert found[: len(row)] == pytest.approx([1 - score / best for _, score in row], abs=1e-6)
        assert all(d == float("inf") for d in found[len(row) :])


def test_errors():
    with pytest.raises(InvalidInputError, match="`lists` must hold the answers of at least one search"):
        fuse_reciprocal_ranks([])
    with pytest.raises(InvalidInputError, match=r"must have the same queries, got \[1, 2\] queries"):
        fuse_reciprocal_ranks([pad([[1]]), pad([[1], [2]])])
    with pytest.raises(InvalidInputError, match="`k` must not be negative, got -1"):
        fuse_reciprocal_ranks([pad([[1]])], k=-1)
