import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional import query_expansion
from oml.functional.query_expansion import augment_database, calc_distances_to_candidates, expand_by_neighbours
from tests.reference.reranking import augment_all, expand_one


def make(n, seed=0, dim=4):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dim)))


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("block", [2**21, 5])
def test_expansion(monkeypatch, alpha, block):
    monkeypatch.setattr(query_expansion, "_BLOCK", block)
    queries, galleries = make(6), make(9, seed=1)
    ids = torch.tensor([[0, 3, 8], [1, 2, -1], [4, -1, -1], [-1, -1, -1], [5, 6, 7], [8, 7, 0]])
    found = expand_by_neighbours(queries, galleries, ids, alpha)
    for x, own, row in zip(queries, found, ids.tolist(), strict=True):
        expected = expand_one(x.numpy(), [galleries[i].numpy() for i in row if i >= 0], alpha)
        np.testing.assert_allclose(own.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (1, 3), (2, 3), (12, 1), (12, 4)])
def test_augmentation(n, k):
    galleries = make(n, seed=2)
    found = augment_database(galleries, k, alpha=2.0)
    assert found.shape == galleries.shape
    if n:
        np.testing.assert_allclose(found.numpy(), augment_all(galleries.numpy(), k, 2.0), atol=1e-12)


def test_no_neighbours():
    x = make(3)
    for galleries, ids in ((make(0), torch.full((3, 2), -1)), (make(2), torch.zeros(3, 0, dtype=torch.int64))):
        torch.testing.assert_close(expand_by_neighbours(x, galleries, ids), torch.nn.functional.normalize(x))


def test_distances_to_candidates():
    queries, galleries = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    found = calc_distances_to_candidates(queries, galleries, torch.tensor([[0, -1], [1, 1]]))
    assert found.tolist() == [[5.0, torch.inf], [0.0, 0.0]]


def test_errors():
    with pytest.raises(InvalidInputError, match=r"`alpha` must not be negative, got -1"):
        expand_by_neighbours(make(1), make(1), torch.tensor([[0]]), alpha=-1)
    with pytest.raises(InvalidInputError, match="`k` must be at least 1, got 0"):
        augment_database(make(3), k=0)
