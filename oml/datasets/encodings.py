"""Encodings of texts, mappings of tensors with an attention mask: batches of them, padded no further than needed."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from oml.errors import check

MASK_KEY = "attention_mask"


def collate_without_padding(items: list[dict[str, Any]], pad_to_multiple_of: int = 1) -> dict[str, Any]:
    """
    Put items into a batch as loaders do, and cut its encodings of texts to the longest text in it.

    A transformer then works on the tokens that are there. It is padding that is cut, on whichever side the tokenizer
    put it, so embeddings stay the same, up to rounding. (Not so for models that count positions from the beginning of
    the padding on the left: their embeddings depend on its length by themselves.)

    Args:
        items: Items of a dataset of texts, all padded to the same length: values that are mappings with a key
            `attention_mask`. Other values are put together as usual.
        pad_to_multiple_of: Leave so much padding that the length is a multiple of it, or else the full length:
            units for half precision prefer multiples of 8, compiled models prefer few lengths.

    Raises:
        InvalidInputError: the multiple is less than 1.

    Example:
        >>> import torch
        >>> encoding = {"input_ids": torch.tensor([5, 8, 0, 0]), "attention_mask": torch.tensor([1, 1, 0, 0])}
        >>> batch = collate_without_padding([{"input_tensors": encoding, "idx": 0}])
        >>> batch["input_tensors"]["input_ids"], batch["idx"]
        (tensor([[5, 8]]), tensor([0]))

        In a loader: `DataLoader(dataset, batch_size=64, collate_fn=collate_without_padding)`.

    """
    check(pad_to_multiple_of >= 1, f"`pad_to_multiple_of` must be 1 at least, got {pad_to_multiple_of}.")
    batch: dict[str, Any] = default_collate(items)
    return {key: cut_padding(value, pad_to_multiple_of) for key, value in batch.items()}


def cut_padding(value: Any, pad_to_multiple_of: int = 1) -> Any:
    """Cut the columns of an encoding (B, L) that are padding in all its rows; give any other value as it is."""
    mask = value.get(MASK_KEY) if isinstance(value, Mapping) else None
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        return value
    length = mask.shape[1]
    used = mask.any(dim=0).nonzero().flatten()
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
    n_kept = min(length, -(-(last - first + 1) // pad_to_multiple_of) * pad_to_multiple_of)
    start = max(0, last + 1 - n_kept)
    kept = slice(start, start + n_kept)
    return rebuild(value, {key: part[:, kept] if _is_along(part, length) else part for key, part in value.items()})


def rebuild(encoding: Mapping[str, Any], values: dict[str, Any]) -> Mapping[str, Any]:
    """
    Give the values as an encoding of the same kind: one that can be moved to a device as a whole, or a dictionary.

    What else a `BatchEncoding` of transformers remembers of its texts is left behind: it would only cost time on the
    way from loader processes.
    """
    make: Callable[..., Mapping[str, Any]] = type(encoding)
    return make(values) if hasattr(encoding, "to") else values


def _is_along(part: Any, length: int) -> bool:
    return isinstance(part, Tensor) and part.ndim >= 2 and part.shape[1] == length
