import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional import score_normalisation
from oml.functional.score_normalisation import as_norm, calc_cohort_statistics, z_norm
from tests.reference.reranking import standardise_one


def make(n, seed, dim=3):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dim)))


@pytest.mark.parametrize("block", [2**22, 10])
@pytest.mark.parametrize("top_n", [2, 5, 8, 100])
def test_norms(monkeypatch, block, top_n):
    monkeypatch.setattr(score_normalisation, "_BLOCK", block)
    queries, galleries, cohort = make(4, 0), make(6, 1), make(8, 2)
    ids = torch.tensor([[0, 5], [1, -1], [2, 3], [4, 4]])
    squares = (queries[:, None] - galleries[ids.clamp(min=0)]).square().sum(2).masked_fill(ids < 0, torch.inf)
    z = z_norm(squares, ids, calc_cohort_statistics(galleries, cohort))
    of_queries, of_galleries = (calc_cohort_statistics(x, cohort, top_n) for x in (queries, galleries))
    adaptive = as_norm(squares, ids, of_queries, of_galleries)
    for q in range(4):
        for j, g in enumerate(ids[q].tolist()):
            if g < 0:
                assert z[q, j] == adaptive[q, j] == torch.inf
                continue
            expected = standardise_one(queries[q].numpy(), galleries[g].numpy(), cohort.numpy(), cohort.numpy(), top_n)
            assert [float(z[q, j]), float(adaptive[q, j])] == pytest.approx(expected)


def test_a_cohort_at_one_distance():
    statistics = calc_cohort_statistics(torch.zeros(1, 1), torch.tensor([[1.0], [-1.0]]))
    assert z_norm(torch.tensor([[4.0]]), torch.tensor([[0]]), statistics).tolist() == [[3.0]]


def test_no_vectors():
    assert len(calc_cohort_statistics(torch.zeros(0, 2), torch.zeros(3, 2)).mean) == 0


def test_errors():
    with pytest.raises(InvalidInputError, match="`cohort` must have at least 2 rows, got 1"):
        calc_cohort_statistics(torch.zeros(2, 1), torch.zeros(1, 1))
    with pytest.raises(InvalidInputError, match="`top_n` must be at least 2, got 1"):
        calc_cohort_statistics(torch.zeros(2, 1), torch.zeros(3, 1), top_n=1)
