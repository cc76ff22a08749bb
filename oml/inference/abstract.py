"""A model over a whole dataset, once per item, in the order of the dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from oml.errors import check
from oml.inference.cache import read_embeddings, write_embeddings
from oml.inference.fingerprint import calc_fingerprints
from oml.inference.loop import calc_rows
from oml.interfaces.datasets import IBaseDataset
from oml.interfaces.models import IPairwiseModel
from oml.utils.misc_torch import get_device


def inference(
    model: nn.Module,
    dataset: IBaseDataset,
    batch_size: int = 128,
    num_workers: int = 0,
    verbose: bool = False,
    use_fp16: bool = False,
    accumulate_on_cpu: bool = True,
    by_length: bool = False,
) -> Tensor:
    """
    Give the embeddings (N, D) of all items of the dataset, in its order.

    The model works in evaluation mode, without gradients, on the device it is on, and gets its former mode back. In a
    group of processes each one embeds its part of the dataset, and all get the whole result. Only the model input and
    the index of an item are put into batches, so other values of an item may be of any kind.

    Args:
        model: Gives embeddings (B, D) for a batch of model inputs.
        dataset: Gives model inputs under its `input_tensors_key` and positions under its `index_key`.
        batch_size: The number of items that the model gets at once.
        num_workers: The number of processes that read items; 0 reads them in this one.
        verbose: Whether to show a progress bar.
        use_fp16: Whether to calculate in float16 where that is safe; takes effect on CUDA only.
        accumulate_on_cpu: Whether embeddings are kept on the CPU; otherwise they stay on the model's device.
        by_length: Whether texts of similar lengths share batches, which are cut to their longest text, as
            `oml.datasets.encodings.collate_without_padding` does. Embeddings stay the same, up to rounding.

    Returns:
        One tensor, allocated once, in the dtype of the model's output (float32 with `use_fp16` on CUDA). For an empty
        dataset it is (0, `model.feat_dim`), or (0, 0) where the model does not know D.

    Raises:
        InvalidInputError: `batch_size` is not positive, the dataset's indices are not 0..N-1 in order, the model gives
            something else than a matrix with one row per item, or lengths are asked for and not known.

    """
    bare_model = _unwrap(model)

    def embed(inputs: Any) -> Tensor:
        features = bare_model(inputs)
        check(
            isinstance(features, Tensor) and features.ndim == 2,
            f"The model must give embeddings (B, D) for inference, got {_describe(features)}. "
            f"Pool or flatten its output to one vector per item.",
        )
        return features  # type: ignore[no-any-return]

    embeddings = calc_rows(
        embed,
        bare_model,
        dataset,
        [dataset.input_tensors_key],
        batch_size=batch_size,
        num_workers=num_workers,
        verbose=verbose,
        use_fp16=use_fp16,
        accumulate_on_cpu=accumulate_on_cpu,
        lengths=_get_lengths(dataset) if by_length else None,
    )
    return torch.empty(0, getattr(bare_model, "feat_dim", 0)) if embeddings is None else embeddings


def inference_cached(
    model: nn.Module,
    dataset: IBaseDataset,
    batch_size: int = 128,
    num_workers: int = 0,
    use_fp16: bool = False,
    verbose: bool = True,
    accumulate_on_cpu: bool = True,
    cache_path: Path | str = "inference_cache.pth",
) -> Tensor:
    """
    Give the embeddings (N, D) of all items like `inference`, from a file if they were calculated before.

    The file says which model, weights, data, transform and precision the embeddings belong to, see
    `oml.inference.fingerprint`; if any of these is another one now, the embeddings are calculated anew and the file is
    replaced. Of the data, paths, sizes and dates of files are compared, and the model inputs of eight items: a file
    changed without a trace in these is not noticed. A transform that changes images at random is never found in a file.

    Args:
        model: Gives embeddings (B, D) for a batch of model inputs.
        dataset: Gives model inputs under its `input_tensors_key` and positions under its `index_key`.
        batch_size: The number of items that the model gets at once.
        num_workers: The number of processes that read items; 0 reads them in this one.
        use_fp16: Whether to calculate in float16 where that is safe; takes effect on CUDA only.
        verbose: Whether to show a progress bar.
        accumulate_on_cpu: Whether embeddings are given on the CPU; otherwise on the model's device.
        cache_path: The file; each pair of a model and a data set needs one of its own.

    Raises:
        InvalidInputError: as `inference`.
        OSError: the file cannot be written.

    Warns:
        UserWarning: the file holds embeddings of something else; the message says what differs.

    """
    path, bare_model = Path(cache_path), _unwrap(model)
    device = get_device(bare_model)
    precision = "float16" if use_fp16 and device.startswith("cuda") else "model's"
    fingerprints = {**calc_fingerprints(bare_model, dataset), "precision": precision}
    embeddings = read_embeddings(path, fingerprints)
    if embeddings is not None:
        return embeddings if accumulate_on_cpu else embeddings.to(device)
    embeddings = inference(model, dataset, batch_size, num_workers, verbose, use_fp16, accumulate_on_cpu)
    write_embeddings(path, embeddings, fingerprints)
    return embeddings


def pairwise_inference(
    model: IPairwiseModel,
    base_dataset: IBaseDataset,
    pair_ids: Sequence[tuple[int, int]],
    num_workers: int = 0,
    batch_size: int = 128,
    verbose: bool = True,
    use_fp16: bool = False,
    accumulate_on_cpu: bool = True,
) -> Tensor:
    """
    Give how distant the items of each pair are according to `model.predict`, (N,), in the order of the pairs.

    Args:
        model: Its `predict` gives one number per pair.
        base_dataset: Where the items of the pairs come from.
        pair_ids: Pairs of positions in the dataset.
        num_workers: The number of processes that read items; 0 reads them in this one.
        batch_size: The number of pairs that the model gets at once.
        verbose: Whether to show a progress bar.
        use_fp16: Whether to calculate in float16 where that is safe; takes effect on CUDA only.
        accumulate_on_cpu: Whether the result is kept on the CPU; otherwise it stays on the model's device.

    Returns:
        One number per pair; (0,) if there are no pairs.

    Raises:
        InvalidInputError: `batch_size` is not positive, or the model gives something else than one number per pair.

    """
    from oml.datasets.pairs import PairDataset

    bare_model = _unwrap(model)
    dataset = PairDataset(base_dataset=base_dataset, pair_ids=list(pair_ids))

    def predict(x1: Any, x2: Any) -> Tensor:
        distances = bare_model.predict(x1, x2)
        check(
            isinstance(distances, Tensor) and distances.ndim == 1,
            f"predict() of the model must give one number per pair, (B,), got {_describe(distances)}.",
        )
        return distances  # type: ignore[no-any-return]

    distances = calc_rows(
        predict,
        bare_model,
        dataset,
        [dataset.input_tensors_key_1, dataset.input_tensors_key_2],
        batch_size=batch_size,
        num_workers=num_workers,
        verbose=verbose,
        use_fp16=use_fp16,
        accumulate_on_cpu=accumulate_on_cpu,
    )
    return torch.empty(0) if distances is None else distances


def _get_lengths(dataset: Any) -> np.ndarray:
    source = dataset
    while not hasattr(source, "get_lengths") and hasattr(source, "dataset"):  # of a table: those of what is in it
        source = source.dataset
    check(
        hasattr(source, "get_lengths") and len(source) == len(dataset),
        f"`by_length` needs a dataset that knows how long its items are, with get_lengths() -> (N,), as datasets of "
        f"texts have; {type(dataset).__name__} does not.",
    )
    return np.asarray(source.get_lengths())


def _unwrap(model: nn.Module) -> Any:
    # The wrapper would synchronise buffers at each call, and wait forever where shares differ by a batch.
    return model.module if isinstance(model, DistributedDataParallel) else model


def _describe(output: Any) -> str:
    return f"the shape {list(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
