"""Pairs of items of a dataset, as pairwise models take them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oml.const import INDEX_KEY, INPUT_TENSORS_KEY_1, INPUT_TENSORS_KEY_2
from oml.datasets.items import check_position
from oml.errors import MAX_SHOWN, check
from oml.interfaces.datasets import IBaseDataset, IPairDataset


class PairDataset(IPairDataset):
    """
    Pairs of model inputs of a base dataset.

    Items are `{input_tensors_key_1: first, input_tensors_key_2: second, index_key: position of the pair}`.

    Args:
        base_dataset: Gives the model inputs.
        pair_ids: Positions in the base dataset, (P, 2): a list of pairs, an array or a tensor on the CPU; may be empty.
        input_tensors_key_1: The key of the first input in items.
        input_tensors_key_2: The key of the second input in items.
        index_key: The key of the position in items.

    Raises:
        InvalidInputError: `pair_ids` are not pairs of integers or lie outside the base dataset, or keys are equal.

    """

    def __init__(
        self,
        base_dataset: IBaseDataset,
        pair_ids: Sequence[tuple[int, int]],
        input_tensors_key_1: str = INPUT_TENSORS_KEY_1,
        input_tensors_key_2: str = INPUT_TENSORS_KEY_2,
        index_key: str = INDEX_KEY,
    ):
        keys = (input_tensors_key_1, input_tensors_key_2, index_key)
        check(len(set(keys)) == len(keys), f"The keys of the two inputs and of the index must differ, got {keys}.")
        self.base_dataset = base_dataset
        self.pair_ids = _check_pairs(pair_ids, len(base_dataset))
        self.input_tensors_key_1 = input_tensors_key_1
        self.input_tensors_key_2 = input_tensors_key_2
        self.index_key = index_key

    def __len__(self) -> int:
        return len(self.pair_ids)

    def __getitem__(self, item: int) -> dict[str, Any]:
        position = check_position(item, len(self))
        first, second = self.pair_ids[position].tolist()
        key = self.base_dataset.input_tensors_key
        return {
            self.input_tensors_key_1: self.base_dataset[first][key],
            self.input_tensors_key_2: self.base_dataset[second][key],
            self.index_key: position,
        }


def _check_pairs(pair_ids: Any, length: int) -> np.ndarray:
    pairs = np.asarray(pair_ids)
    if pairs.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    check(
        pairs.ndim == 2 and pairs.shape[1] == 2 and np.issubdtype(pairs.dtype, np.integer),
        f"`pair_ids` must be integers of the shape (P, 2), got {pairs.dtype} {pairs.shape}.",
    )
    rows = np.flatnonzero(((pairs < 0) | (pairs >= length)).any(axis=1))
    check(
        len(rows) == 0,
        f"`pair_ids` must be positions in the base dataset, which has {length} items; {len(rows)} pairs are not, the "
        f"first: {', '.join(f'{tuple(pairs[row].tolist())} in row {row}' for row in rows[:MAX_SHOWN])}.",
    )
    return pairs.astype(np.int64)
