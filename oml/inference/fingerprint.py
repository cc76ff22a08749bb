"""What embeddings depend on, as short texts: the model with its weights, the data, and how the data is read."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oml.interfaces.datasets import IBaseDataset

_N_SAMPLES = 8
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, torch.dtype, torch.device, Path)

TSeen = dict[int, Any]  # kept, since another object may get the place in memory of one that is gone


def calc_fingerprints(model: nn.Module, dataset: IBaseDataset) -> dict[str, str]:
    """
    Give a hash of each thing that embeddings depend on.

    * `"model"`: classes and settings of all layers, names, types and values of all weights and buffers;
    * `"dataset"`: all that the dataset holds, with its transform or tokeniser, and the sizes and dates of its files;
    * `"inputs"`: the model inputs of a few items spread over the dataset, as they are read now.

    Files are not read, except for those items. What a function closes over counts, what it finds elsewhere does not.

    """
    n_items = len(dataset)
    sample = sorted({round(i * (n_items - 1) / (_N_SAMPLES - 1)) for i in range(_N_SAMPLES)}) if n_items else []
    # Before the data set is looked at: tokenisers keep some settings of their last call.
    inputs = [dataset[i][dataset.input_tensors_key] for i in sample]
    return {
        "model": _calc_hash(_walk_model(model)),
        "dataset": _calc_hash(_walk(dataset, {})),
        "inputs": _calc_hash(_walk(inputs, {})),
    }


def _calc_hash(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))  # so that ("ab", "c") and ("a", "bc") differ
        digest.update(piece)
    return digest.hexdigest()


def _walk_model(model: nn.Module) -> Iterator[bytes]:
    for name, layer in model.named_modules():
        yield f"{name} {_name(type(layer))}".encode()
        settings = {k: v for k, v in vars(layer).items() if not k.startswith("_") and k != "training"}
        yield from _walk({k: v for k, v in settings.items() if _is_plain(v)}, {})
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield name.encode()
        yield from _walk(tensor, {})


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, (list, tuple)) and all(_is_plain(v) for v in value))


def _walk(value: Any, seen: TSeen) -> Iterator[bytes]:
    """Give what a value holds, in pieces that are equal for equal values, in whichever process."""
    yield _name(type(value)).encode()
    if isinstance(value, type):
        yield _name(value).encode()
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif id(value) in seen:
        yield b"seen"
    else:
        seen[id(value)] = value
        yield from _walk_parts(value, seen)


def _walk_parts(value: Any, seen: TSeen) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(key, seen)
            yield from _walk(item, seen)
    elif isinstance(value, (list, tuple)):
        if all(isinstance(item, _PLAIN) for item in value):
            yield repr(value).encode()  # a million of texts in a moment
            return
        for item in value:
            yield from _walk(item, seen)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(_calc_hash(_walk(item, seen)).encode() for item in value)
    elif isinstance(value, np.ndarray):
        yield from _walk(value.tolist(), seen)
    elif hasattr(value, "to_numpy"):  # a frame or a series of pandas
        yield from _walk([value.index.tolist(), getattr(value, "columns", value.index).tolist()], seen)
        yield from _walk(value.to_numpy(dtype=object), seen)
    elif inspect.isroutine(value):
        yield f"{value.__module__} {value.__qualname__}".encode()
        function: Any = getattr(value, "__func__", value)
        if hasattr(function, "__code__"):
            yield function.__code__.co_code
            yield from _walk([c for c in function.__code__.co_consts if not inspect.iscode(c)], seen)
            yield from _walk([cell.cell_contents for cell in function.__closure__ or ()], seen)
        yield from _walk(getattr(value, "__self__", None), seen)
    else:
        yield from _walk(_get_state(value), seen)
        if hasattr(value, "get_path") and hasattr(value, "__len__"):
            yield from (_describe_file(value.get_path(i)) for i in range(len(value)))


def _get_state(value: Any) -> Any:
    """Give what an object would take along to another process, which leaves out caches."""
    if isinstance(value, nn.Module):
        return [
            value.state_dict(),
            {k: v for k, v in vars(value).items() if not k.startswith("_")},
            dict(value.named_children()),
        ]
    with suppress(TypeError):
        return value.__reduce_ex__(2)[1:3]
    return repr(type(value))


def _describe_file(path: Path) -> bytes:
    with suppress(OSError):
        found = path.stat()
        return f"{found.st_size} {found.st_mtime_ns}".encode()
    return b"missing"


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
