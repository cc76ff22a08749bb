from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oml.functional import distances, pca
from oml.utils import misc_torch
from oml.utils.misc_torch import (
    assign_2d,
    cat_two_sorted_tensors_and_keep_it_sorted,
    get_device,
    is_sorted_tensor,
    take_2d,
    temporary_setting_model_mode,
    unique_by_ids,
)

sizes = st.integers(0, 4)


def test_formulas_live_in_functional() -> None:
    for name in ("pairwise_dist", "elementwise_dist", "normalise"):
        assert getattr(misc_torch, name) is getattr(distances, name)
    assert misc_torch.PCA is pca.PCA


@given(sizes, st.integers(1, 5), sizes, st.integers(0, 100))
@settings(deadline=None)
def test_take_and_assign(n: int, m: int, p: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, m, generator=generator)
    indices = (
        torch.stack([torch.randperm(m, generator=generator)[:p] for _ in range(n)]) if n else torch.empty(0, p).long()
    )
    taken = take_2d(x, indices)
    assert taken.tolist() == [[x[i, j].item() for j in row] for i, row in enumerate(indices.tolist())]

    new = torch.randn(indices.shape, generator=generator, dtype=torch.float64)
    expected = x.clone()
    for i, row in enumerate(indices.tolist()):
        for j, position in enumerate(row):
            expected[i, position] = new[i, j]
    assert assign_2d(x, indices, new) is x
    assert torch.equal(x, expected)


def test_take_and_assign_on_views() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    taken = take_2d(x.T, torch.tensor([[2, 0], [1, 1]]))
    assert taken.tolist() == [[4, 0], [3, 3]]
    assign_2d(x.T, torch.tensor([[2], [1]]), torch.tensor([[9.0], [8.0]]))
    assert x.tolist() == [[0, 1], [2, 8], [9, 5]]


def test_take_and_assign_errors() -> None:
    x, ids = torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.long)
    with pytest.raises(AssertionError, match="x and indices must be 2-D, got 1 and 2 dimensions"):
        take_2d(x[0], ids)
    with pytest.raises(AssertionError, match="same number of rows, got 2 and 1"):
        take_2d(x, ids[:1])
    with pytest.raises(AssertionError, match=r"must have one shape, got \(2, 1\) and \(2, 2\)"):
        assign_2d(x, ids, torch.zeros(2, 2))


values = st.floats(-1e4, 1e4, width=32)


@given(st.lists(values, max_size=6), st.lists(values, max_size=6), st.sampled_from([1e-6, 1e-4]))
@settings(deadline=None)
def test_concatenation_is_sorted(head: list[float], tail: list[float], eps: float) -> None:
    x1, x2 = torch.tensor([sorted(head)]), torch.tensor([sorted(tail)])
    result = cat_two_sorted_tensors_and_keep_it_sorted(x1, x2, eps)
    assert x1.tolist() == [sorted(head)]
    assert result.shape == (1, len(head) + len(tail))
    assert result[0].isfinite().all()
    assert (result[0].diff() >= 0).all()
    assert result[0, len(head) :].tolist() == sorted(tail)
    if not head or not tail or max(head) <= min(tail):
        assert result[0].tolist() == sorted(head) + sorted(tail)


def test_concatenation_rows_are_independent() -> None:
    x1 = torch.tensor([[1.0, 2.0], [2.0, 4.0], [-4.0, -1.0], [1.0, 3.0], [0.0, 0.0]])
    x2 = torch.tensor([[2.0], [3.0], [-2.0], [0.0], [-1.0]])
    result = cat_two_sorted_tensors_and_keep_it_sorted(x1, x2, eps=0.5)
    expected = [[1.0, 2.0, 2.0], [1.0, 2.5, 3.0], [-8.5, -2.5, -2.0], [-2.5, -0.5, 0.0], [-1.5, -1.5, -1.0]]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_concatenation_errors() -> None:
    with pytest.raises(AssertionError, match="x1 and x2 must be 2-D, got 1 and 2"):
        cat_two_sorted_tensors_and_keep_it_sorted(torch.ones(2), torch.ones(1, 2))
    with pytest.raises(AssertionError, match="same number of rows, got 2 and 1"):
        cat_two_sorted_tensors_and_keep_it_sorted(torch.ones(2, 1), torch.ones(1, 1))


EPS = torch.finfo(torch.float32).eps


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([], True),
        ([1.0], True),
        ([1.0, 1.0, 2.0], True),
        ([1.0, 0.5], False),
        ([0.0, 1.0, 1.0 - 9 * EPS], True),
        ([0.0, 1.0, 1.0 - 11 * EPS], False),
        ([0.0, float("inf"), float("inf")], True),
        ([float("inf"), 0.0], False),
    ],
)
def test_is_sorted(x: list[float], expected: bool) -> None:
    assert is_sorted_tensor(torch.tensor(x)) is expected


def test_is_sorted_of_other_inputs() -> None:
    assert is_sorted_tensor(torch.tensor([1, 2, 2]))
    assert not is_sorted_tensor(torch.tensor([2, 1]))
    assert not is_sorted_tensor(torch.tensor([0.0, float("nan"), 1.0]))
    with pytest.raises(AssertionError, match="must be 1-D, got 2"):
        is_sorted_tensor(torch.zeros(1, 1))


@given(st.lists(st.integers(-3, 3), max_size=12))
@settings(deadline=None)
def test_unique_by_ids(ids: list[int]) -> None:
    rows = list(range(len(ids)))
    expected_ids = sorted(set(ids))
    expected = [ids.index(i) for i in expected_ids]
    assert unique_by_ids(ids, rows) == (expected_ids, expected)
    assert unique_by_ids(ids, tuple(rows)) == (expected_ids, tuple(expected))
    for data in (np.array(rows, dtype=int), torch.tensor(rows, dtype=torch.long)):
        unique, first = unique_by_ids(ids, data)
        assert unique == expected_ids
        assert type(first) is type(data)
        assert first.dtype == data.dtype
        assert first.tolist() == expected
    assert unique_by_ids(torch.tensor(ids, dtype=torch.long), rows) == (expected_ids, expected)


@pytest.mark.parametrize(
    ("ids", "data", "error", "match"),
    [
        ([1, 2], [1], AssertionError, "must have one length, got 2 and 1"),
        ([1], "a", TypeError, "must be a list, tuple, array or tensor, got str"),
    ],
)
def test_unique_by_ids_errors(ids: list[int], data: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        unique_by_ids(ids, data)


def test_get_device() -> None:
    assert get_device(nn.Linear(1, 1)) == "cpu"
    assert get_device(nn.Linear(1, 1, device="meta")) == "meta"
    assert get_device(nn.BatchNorm1d(1, affine=False, device="meta")) == "meta"
    assert get_device(nn.Identity()) == "cpu"


@pytest.mark.parametrize("set_train", [True, False])
def test_mode_of_each_part_is_restored(set_train: bool) -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.BatchNorm1d(1), nn.Dropout()))
    model.train()
    model[1][0].eval()
    before = [m.training for m in model.modules()]

    def look_and_fail() -> None:
        with temporary_setting_model_mode(model, set_train) as same:
            assert same is model
            assert all(m.training is set_train for m in model.modules())
            raise KeyError("stop")

    with pytest.raises(KeyError):
        look_and_fail()
    assert [m.training for m in model.modules()] == before
    assert before.count(False) == 1
