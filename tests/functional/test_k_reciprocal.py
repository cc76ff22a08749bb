import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional import k_reciprocal
from oml.functional.k_reciprocal import calc_k_reciprocal_distances
from tests.reference.k_reciprocal import rerank_densely


def make_clusters(n, dim, seed, n_centres=4, noise=0.4):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(n_centres, dim))
    x = centres[random.integers(0, n_centres, n)] + noise * random.normal(size=(n, dim))
    return torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True))


def calc_all(x, **kwargs):
    rows = torch.arange(len(x))
    return calc_k_reciprocal_distances(x, rows, rows.expand(len(x), -1), **kwargs)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    k1=st.integers(1, 12),
    k2=st.integers(1, 6),
    lambda_value=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_equal_to_the_dense_form(n, k1, k2, lambda_value, seed):
    x = make_clusters(n, 3, seed)
    k2 = min(k2, k1 + 1)
    expected = rerank_densely(x, k1, k2, lambda_value)
    found = calc_all(x, k1=k1, k2=k2, lambda_value=lambda_value)
    assert found.shape == (n, n)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_equal_to_the_dense_form_with_many_equal_vectors():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (30, 2)).astype(np.float64))
    np.testing.assert_allclose(calc_all(x, k1=5, k2=3).numpy(), rerank_densely(x, 5, 3), atol=1e-12)


def test_published_settings_in_float32():
    x = make_clusters(150, 8, seed=3)
    np.testing.assert_allclose(calc_all(x.float()).numpy(), rerank_densely(x), atol=2e-6)  # ~10 eps of numbers to 4


def test_blocks_do_not_matter(monkeypatch):
    x = make_clusters(50, 4, seed=5)
    whole = calc_all(x, k1=6, k2=3)
    monkeypatch.setattr(k_reciprocal, "_BLOCK", 300)
    torch.testing.assert_close(calc_all(x, k1=6, k2=3), whole, rtol=0, atol=1e-14)


def test_chosen_pairs_and_absent_ones():
    x = make_clusters(30, 4, seed=6)
    expected = calc_all(x, k1=6, k2=3)
    queries, candidates = torch.tensor([4, 9]), torch.tensor([[1, 4, -1], [-1, -1, 20]])
    found = calc_k_reciprocal_distances(x, queries, candidates, k1=6, k2=3)
    assert found[0, :2].tolist() == pytest.approx(expected[4, [1, 4]].tolist())
    assert float(found[1, 2]) == pytest.approx(float(expected[9, 20]))
    for lambda_value in (0.0, 0.3, 1.0):
        found = calc_k_reciprocal_distances(x, queries, candidates, k1=6, k2=3, lambda_value=lambda_value)
        assert torch.equal(found.isinf(), candidates < 0)


def test_no_items():
    x, nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    assert calc_k_reciprocal_distances(x, nothing, nothing.view(0, 4)).shape == (0, 4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"k1": 0}, "`k1` must be at least 1, got 0"),
        ({"k2": 0}, r"`k2` must be from 1 to k1 \+ 1 = 21, got 0"),
        ({"k1": 3, "k2": 5}, r"`k2` must be from 1 to k1 \+ 1 = 4, got 5"),
        ({"lambda_value": 1.5}, r"`lambda_value` must be from 0 to 1, got 1\.5"),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(InvalidInputError, match=message):
        calc_all(torch.zeros(3, 2), **kwargs)


def test_rows_that_are_not_finite():
    with pytest.raises(InvalidInputError, match=r"must be finite, but 1 row\(s\) hold NaN .* rows 1"):
        calc_all(torch.tensor([[0.0], [torch.nan], [1.0]]))
