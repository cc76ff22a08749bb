"""Sums and means of values that come one by one or in batches, without keeping the values."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

TOnlineValues = float | int | Sequence[float] | np.ndarray | Tensor


class OnlineCalc(ABC):
    """
    A number that follows the values it is given.

    `result` is the number, a float; computed in float64. Values may be numbers, or lists, arrays or tensors of any
    shape, each element of which counts as one value; an empty one changes nothing.
    """

    result: float = 0.0

    def __init__(self, val: TOnlineValues | None = None):
        if val is not None:
            self.update(val)

    def update(self, val: TOnlineValues) -> None:
        """Take one value or several."""
        values = val.detach().cpu().double().numpy() if isinstance(val, Tensor) else np.asarray(val, dtype=np.float64)
        if values.ndim == 0:
            self.calc_with_single_value(float(values))
        elif values.size:
            self.calc_with_batch(values.ravel())

    def calc_with_single_value(self, val: float) -> None:
        """Take one value."""
        self.calc_with_batch([val])

    @abstractmethod
    def calc_with_batch(self, val: Sequence[float] | np.ndarray) -> None:
        """Take a non-empty 1-D sequence of values."""


class SumOnline(OnlineCalc):
    """
    The sum of all values so far; 0 before the first one.

    Example:
        >>> total = SumOnline(1)
        >>> total.update([2, 3])
        >>> total.result
        6.0

    """

    def calc_with_batch(self, val: Sequence[float] | np.ndarray) -> None:
        """Take a non-empty 1-D sequence of values."""
        self.result += float(np.sum(val))


class AvgOnline(OnlineCalc):
    """
    The mean of all values so far, however they were spread over the batches; 0 before the first one.

    Example:
        >>> mean = AvgOnline(1)
        >>> mean.update([2, 6])
        >>> mean.result
        3.0

    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.n_values = 0
        super().__init__(*args, **kwargs)

    def calc_with_batch(self, val: Sequence[float] | np.ndarray) -> None:
        """Take a non-empty 1-D sequence of values."""
        self.n_values += len(val)
        self.result += float(np.sum(np.asarray(val) - self.result)) / self.n_values


class OnlineDict:
    """A dictionary of such numbers, one for each key ever met; subclasses say which kind of number."""

    calculator: ClassVar[type[OnlineCalc]]

    def __init__(self, input_dict: Mapping[Any, TOnlineValues] | None = None):
        self.calculators: dict[Any, OnlineCalc] = {}
        self.update(input_dict or {})

    def update(self, input_dict: Mapping[Any, TOnlineValues]) -> None:
        """Take the values of each key; keys may come and go."""
        for key, value in input_dict.items():
            self.calculators.setdefault(key, self.calculator()).update(value)

    def get_dict_with_results(self) -> dict[Any, float]:
        """Give the number of each key."""
        return {key: calculator.result for key, calculator in self.calculators.items()}


class OnlineAvgDict(OnlineDict):
    """
    The mean of each key.

    Example:
        >>> losses = OnlineAvgDict({"loss": 1.0})
        >>> losses.update({"loss": [2.0, 6.0], "norm": 5.0})
        >>> losses.get_dict_with_results()
        {'loss': 3.0, 'norm': 5.0}

    """

    calculator = AvgOnline


class OnlineSumDict(OnlineDict):
    """
    The sum of each key.

    Example:
        >>> OnlineSumDict({"n": [1, 2]}).get_dict_with_results()
        {'n': 3.0}

    """

    calculator = SumOnline
