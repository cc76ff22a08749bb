"""The loop that every kind of inference shares: batches in, one row per item out."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, default_collate
from tqdm.auto import tqdm

from oml.datasets.encodings import cut_padding
from oml.ddp.utils import fill_from_all, get_share, is_main_process
from oml.errors import check
from oml.interfaces.datasets import IIndexedDataset
from oml.utils.misc_torch import get_device, temporary_setting_model_mode


def calc_rows(
    call: Callable[..., Tensor],
    model: nn.Module,
    dataset: IIndexedDataset,
    input_keys: Sequence[str],
    *,
    batch_size: int,
    num_workers: int,
    verbose: bool,
    use_fp16: bool,
    accumulate_on_cpu: bool,
    lengths: np.ndarray | None = None,
) -> Tensor | None:
    """
    Give one row per item of the dataset, (N, ...), in its order; None if it is empty.

    Args:
        call: Gives the rows (B, ...) for the inputs of a batch, one argument per input key.
        model: What `call` uses: it is put in evaluation mode meanwhile, and inputs are moved to its device.
        dataset: Items hold the input keys and the index.
        input_keys: Which values of an item are inputs. Others, apart from the index, are left out of the batches.
        batch_size: The number of items of a batch.
        num_workers: The number of processes that read items; 0 reads them in this one.
        verbose: Whether to show a progress bar.
        use_fp16: Whether CUDA may calculate in float16; rows are float32 then.
        accumulate_on_cpu: Whether rows are kept on the CPU instead of the model's device.
        lengths: (N,) of the items: then those of similar lengths share a batch, the longest come first, so that lack of
            memory shows at once, and encodings of texts are cut to the longest of their batch.

    Raises:
        InvalidInputError: the batch size is not positive, indices are not 0..N-1 in order, or rows not one per item.

    """
    check(batch_size >= 1, f"batch_size must be a positive number of items, got {batch_size}.")
    share = get_share(len(dataset))
    order = torch.arange(share.start, share.stop)
    if lengths is not None:
        order = order[torch.from_numpy(np.argsort(-lengths[share.start : share.stop], kind="stable"))]
    device = get_device(model)
    on_cuda = device.startswith("cuda")
    half = use_fp16 and on_cuda
    loader = DataLoader(
        Subset(dataset, order.tolist()),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=partial(_collate, keys=[*input_keys, dataset.index_key], cut=lengths is not None),
        pin_memory=on_cuda,
    )
    autocast = torch.autocast("cuda", dtype=torch.float16, enabled=half)
    progress = tqdm(loader, desc="Inference", disable=not (verbose and is_main_process()))
    rows: Tensor | None = None
    done = 0
    with temporary_setting_model_mode(model, set_train=False), torch.no_grad(), progress:
        for batch in progress:
            ids = torch.as_tensor(batch[dataset.index_key]).reshape(-1)
            expected = order[done : done + len(ids)]
            _check_ids(ids, expected, dataset)
            with autocast:
                new = call(*[move_to_device(batch[key], device) for key in input_keys])
            if rows is None:
                rows = new.new_empty(
                    (len(share), *new.shape[1:]),
                    dtype=torch.float32 if half else None,
                    device="cpu" if accumulate_on_cpu else None,
                )
            _check_rows(new, n_items=len(ids), like=rows)
            rows[(expected - share.start).to(rows.device)] = new.to(rows.device, rows.dtype)
            done += len(ids)
    return fill_from_all(rows, len(dataset))


def move_to_device(inputs: Any, device: str) -> Any:
    """
    Give model inputs on the device: a tensor or whatever has `.to`, or mappings, lists and tuples of these.

    Example:
        >>> move_to_device({"ids": [torch.zeros(2)]}, "cpu")
        {'ids': [tensor([0., 0.])]}

    """
    if hasattr(inputs, "to"):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {key: move_to_device(value, device) for key, value in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        make = getattr(inputs, "_make", type(inputs))  # a named tuple takes its fields one by one
        return make([move_to_device(value, device) for value in inputs])
    return inputs


def _collate(items: list[dict[str, Any]], keys: Sequence[str], cut: bool) -> dict[str, Any]:
    batch = {key: default_collate([item[key] for item in items]) for key in keys}
    return {key: cut_padding(value) for key, value in batch.items()} if cut else batch


def _check_ids(ids: Tensor, expected: Tensor, dataset: IIndexedDataset) -> None:
    if torch.equal(ids, expected):
        return
    first = int((ids != expected).nonzero()[0]) if ids.shape == expected.shape else 0
    check(
        False,
        f"Items of the dataset must hold their own position under the key {dataset.index_key!r}, but dataset"
        f"[{expected[first].item()}] holds {ids[first].item()}. Return the argument of __getitem__ under this key.",
    )


def _check_rows(new: Tensor, n_items: int, like: Tensor) -> None:
    check(
        len(new) == n_items and new.shape[1:] == like.shape[1:],
        f"The model must give one row of the shape {list(like.shape[1:])} for each of the {n_items} items of the "
        f"batch, got {list(new.shape)}. Items must not be dropped in the model, and D must not depend on the input.",
    )
