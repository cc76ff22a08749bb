import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.utils.misc_torch import AvgOnline, OnlineAvgDict, OnlineCalc, OnlineSumDict, SumOnline

batches = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=5), max_size=6)
KINDS = [list, np.array, lambda x: torch.tensor(x, dtype=torch.float64)]


@given(batches, st.sampled_from(KINDS))
@settings(deadline=None)
def test_sum_and_mean(values: list[list[float]], kind: Any) -> None:
    flat = [v for batch in values for v in batch]
    for calculator, expected in ((SumOnline(), math.fsum(flat)), (AvgOnline(), math.fsum(flat) / max(len(flat), 1))):
        for batch in values:
            calculator.update(kind(batch))
        assert calculator.result == pytest.approx(expected, rel=1e-9, abs=1e-6)
        assert type(calculator.result) is float


ONES = [2, 2.0, np.float32(2), torch.tensor(2.0, requires_grad=True)]


@pytest.mark.parametrize("value", ONES)
def test_one_value(value: Any) -> None:
    mean = AvgOnline(value)
    assert mean.result == 2
    mean.calc_with_single_value(5)
    mean.calc_with_batch([5])
    assert mean.result == 4


def test_any_shape() -> None:
    assert SumOnline(torch.ones(2, 3)).result == SumOnline([[1, 2], [3, 0]]).result == 6


def test_the_mean_does_not_lose_digits() -> None:
    mean = AvgOnline()
    for _ in range(1000):
        mean.update([1e9, 1e9 + 1])
    assert mean.result == pytest.approx(1e9 + 0.5, abs=1e-5)


def test_dictionaries() -> None:
    mean, total = OnlineAvgDict({"a": 1}), OnlineSumDict()
    assert total.get_dict_with_results() == {}
    total.update({"a": 1})
    for calculator in (mean, total):
        calculator.update({"a": torch.tensor([2.0, 6.0]), "b": 4.0})
        calculator.update({"b": []})
    assert mean.get_dict_with_results() == {"a": 3, "b": 4}
    assert total.get_dict_with_results() == {"a": 9, "b": 4}


def test_the_base_is_abstract() -> None:
    with pytest.raises(TypeError, match="calc_with_batch"):
        OnlineCalc()  # type: ignore[abstract]
