"""Batches in any order, from any number of processes, put together as one record per key."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.ddp.utils import get_world_size_safe, is_ddp, sync_dicts_ddp
from oml.errors import InvalidInputError, check, show_some
from oml.utils.misc_torch import unique_by_ids

TStorage = dict[str, Any]


class Accumulator:
    """
    Collects the values of some keys, batch by batch, on the CPU.

    Tensors and arrays are written into memory that is taken with the first batch, `(num_samples, ...)`; lists are
    extended. With `indices` it is known which item each row belongs to: `sync` then drops items that came twice and
    puts the rest in order.

    Args:
        keys_to_accumulate: Keys to take out of each batch, all different.

    Raises:
        InvalidInputError: a key is given twice.

    Example:
        >>> acc = Accumulator(keys_to_accumulate=("x",))
        >>> acc.refresh(num_samples=3)
        >>> acc.update_data({"x": torch.tensor([5.0, 4.0])}, indices=[2, 1])
        >>> acc.update_data({"x": torch.tensor([3.0])}, indices=[0])
        >>> acc.sync().storage["x"]
        tensor([3., 4., 5.])

    """

    _indices_key = "__element_indices"

    def __init__(self, keys_to_accumulate: Sequence[str]):
        keys = tuple(keys_to_accumulate)
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        check(
            not repeated, f"`keys_to_accumulate` must all be different, but these occur twice: {show_some(repeated)}."
        )
        self.keys_to_accumulate = keys
        self.num_samples: int | None = None
        self._collected_samples = 0
        self._storage: TStorage = {}

    @property
    def storage(self) -> TStorage:
        """What has been collected, by key; rows that are still to come hold anything."""
        return self._storage

    @property
    def collected_samples(self) -> int:
        """Number of items collected since the last `refresh`."""
        return self._collected_samples

    def refresh(self, num_samples: int) -> None:
        """
        Forget everything and prepare for so many items.

        Raises:
            InvalidInputError: the number is not a positive integer.

        """
        is_count = isinstance(num_samples, (int, np.integer)) and not isinstance(num_samples, bool) and num_samples > 0
        check(is_count, f"`num_samples` must be a positive integer, the number of items to come, got {num_samples!r}.")
        self.num_samples, self._collected_samples, self._storage = int(num_samples), 0, {}

    def update_data(
        self, data_dict: Mapping[str, Any], indices: Sequence[int] | Tensor | np.ndarray | None = None
    ) -> None:
        """
        Collect a batch.

        Args:
            data_dict: Has the accumulated keys, with tensors (B, ...), arrays (B, ...) or lists of B elements; other
                keys are not looked at.
            indices: Which items these are, (B,). Given for all batches or for none.

        Raises:
            ValueError: called before `refresh`; more items than announced; values whose shape differs from that of the
                first batch.
            TypeError: a value is of another type, or of another one than in the first batch.
            InvalidInputError: a key is missing, the values differ in length, or indices are missing that were given
                before.
            RuntimeError: indices are given that were not given before.

        """
        if self.num_samples is None:
            raise InvalidInputError("The accumulator does not know how many items will come: call `refresh` first.")
        missing = [key for key in self.keys_to_accumulate if key not in data_dict]
        check(not missing, f"The batch has no {show_some(map(repr, missing))}; its keys are: {show_some(data_dict)}.")
        batch = {key: data_dict[key] for key in self.keys_to_accumulate}
        self._check_indices(indices)
        if indices is not None:
            batch[self._indices_key] = [int(i) for i in indices]
        for key, value in batch.items():
            self._check_value(key, value)
        lengths = {key: len(value) for key, value in batch.items()}
        check(
            len(set(lengths.values())) <= 1,
            f"All values of a batch must have one length, got {_show_lengths(lengths)}.",
        )
        n_new = next(iter(lengths.values()), 0)
        if self._collected_samples + n_new > self.num_samples:
            raise InvalidInputError(
                f"{self.num_samples} items were announced, but {self._collected_samples + n_new} have come. "
                "Call `refresh` (or `setup` of the metric) before each pass, with the number of items of this process."
            )
        for key, value in batch.items():
            self._write(key, value)
        self._collected_samples += n_new

    def is_storage_full(self) -> bool:
        """Tell whether as many items have come as were announced."""
        return self.num_samples == self._collected_samples

    def sync(self) -> "Accumulator":
        """
        Give an accumulator of what all processes have; they must all call it.

        Where indices were given, each item is there once, and items are ordered by their index. Otherwise they are
        ordered by rank, and without a group this very accumulator comes back.

        Raises:
            ValueError: fewer items have come than were announced.

        """
        if not self.is_storage_full():
            raise InvalidInputError(
                f"Only full storages can be synchronised: {self._collected_samples} of {self.num_samples} items have "
                "come. Go through the whole loader, or announce the right number in `refresh`."
            )
        if not is_ddp() and self._indices_key not in self._storage:
            return self
        gathered = dict(sync_dicts_ddp(self._storage, get_world_size_safe()))
        ids = gathered.get(self._indices_key)
        if ids is not None:
            gathered = {key: unique_by_ids(ids, value)[1] for key, value in gathered.items()}
        return self._of_storage(self.keys_to_accumulate, gathered)

    @classmethod
    def _of_storage(cls, keys: tuple[str, ...], storage: TStorage) -> "Accumulator":
        accumulator = cls(keys)
        accumulator._storage = storage
        accumulator.num_samples = accumulator._collected_samples = len(next(iter(storage.values()), ()))
        return accumulator

    def _check_indices(self, indices: Any) -> None:
        were_given = self._indices_key in self._storage
        check(
            indices is not None or not were_given,
            "`indices` must be given with every batch, because they were given with the first one.",
        )
        if indices is not None and self._collected_samples and not were_given:
            raise RuntimeError("`indices` cannot be given now, because they were not given with the batches before.")

    def _check_value(self, key: str, value: Any) -> None:
        if not isinstance(value, (Tensor, np.ndarray, list)) or (not isinstance(value, list) and not value.ndim):
            shown = "one of no dimensions" if isinstance(value, (Tensor, np.ndarray)) else type(value).__name__
            raise TypeError(
                f"The value of {key!r} must be a tensor, an array or a list with one row per item, got {shown}."
            )
        stored = self._storage.get(key, value)
        if not isinstance(value, type(stored)) and not isinstance(stored, type(value)):
            raise TypeError(
                f"The value of {key!r} was of the type {type(stored).__name__} in the first batch, and is of the type "
                f"{type(value).__name__} now."
            )
        if not isinstance(value, list) and value.shape[1:] != stored.shape[1:]:
            raise InvalidInputError(
                f"Rows of {key!r} had the shape {tuple(stored.shape[1:])} in the first batch, and have "
                f"{tuple(value.shape[1:])} now."
            )

    def _write(self, key: str, value: Any) -> None:
        start, stop = self._collected_samples, self._collected_samples + len(value)
        shape = (self.num_samples or 0, *getattr(value, "shape", ())[1:])
        if isinstance(value, list):
            self._storage.setdefault(key, []).extend(value)
        elif isinstance(value, Tensor):
            if key not in self._storage:
                self._storage[key] = torch.empty(shape, dtype=value.dtype)
            self._storage[key][start:stop] = value.detach()
        else:
            if key not in self._storage:
                self._storage[key] = np.empty(shape, dtype=value.dtype)
            self._storage[key][start:stop] = value


def _show_lengths(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{n} ({key.lstrip('_')})" for key, n in lengths.items())
