import numpy as np
import pytest
import torch

from oml.functional.search_selection import bound_kth_largest, find_above, find_kth_largest, make_room

DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def make_scores(kind, n_queries, n_galleries, dtype, generator):
    scores = torch.randn(n_queries, n_galleries, generator=generator)
    if kind == "negative":
        scores = -scores.abs() - 0.1
    if kind == "zeros":
        scores = scores.round() * 0  # of both signs
    if kind == "hidden":
        scores[:, ::3] = -torch.inf
    return scores.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "negative", "zeros", "hidden"])
@pytest.mark.parametrize("width", [1, 8, 30, 64])
@pytest.mark.parametrize("is_room_given", [False, True])
def test_all_above_the_limit_are_found(dtype, kind, width, is_room_given, generator):
    n = 300
    scores = make_scores(kind, n, width, dtype, generator)
    for limits in (torch.randn(n, generator=generator), torch.full((n,), -torch.inf), torch.full((n,), torch.inf)):
        limits = limits.to(torch.float64 if dtype == torch.float64 else torch.float32)
        limits[3] = scores[3].max()  # nothing is above the largest
        rows, columns = find_above(scores, limits, make_room(n * width) if is_room_given else None)
        expected = np.nonzero(scores.double().numpy() > limits.double().numpy()[:, None])
        assert rows.tolist() == expected[0].tolist()
        assert columns.tolist() == expected[1].tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "negative", "zeros", "hidden"])
@pytest.mark.parametrize("k", [1, 3, 16, 40])
def test_kth_largest(dtype, kind, k, generator):
    scores = make_scores(kind, 9, 640, dtype, generator)
    expected = np.sort(scores.double().numpy(), axis=1)[:, -k]
    assert find_kth_largest(scores, k).double().tolist() == expected.tolist()
    bound = bound_kth_largest(scores, k).double().numpy()
    assert (bound <= expected).all()
    if kind == "random":  # and not by much: no lower than a few times as far into the order
        assert (bound >= np.sort(scores.double().numpy(), axis=1)[:, -3 * k]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_fewer_than_k(dtype):
    scores = torch.ones(2, 3, dtype=dtype)
    assert find_kth_largest(scores, 4).tolist() == bound_kth_largest(scores, 4).tolist() == [-torch.inf] * 2
