"""What lies in the files of checkpoints, read without running any code that they may carry."""

import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import torch
from torch import Tensor

from oml.errors import InvalidInputError, check
from oml.models.torchscript import is_torchscript, read_torchscript
from oml.models.zoo import ZOO
from oml.utils.io import calc_hash

_SIZE_AT_ONCE = 2**26  # bytes


def read_file(path: Path) -> Any:
    """
    Give what the file holds, on CPU, in memory of its own, so that it stays the same when the file changes.

    Where `torch.utils.serialization.config.load.mmap` is set, torch maps files of its own format instead of reading
    them: pages are read as weights are used, and nobody may write to the file meanwhile.

    Raises:
        InvalidInputError: the file is cut off, is of another format, or needs code to be run.

    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if _is_torchscript(path):
        # Opening such an archive may run code, so only the very files of the zoo are opened.
        check(
            calc_hash(path) in {checkpoint.hash for checkpoint in ZOO.values()},
            f"{path} is a TorchScript archive, which may run code when opened, and none of the zoo's by its hash, so "
            f"it was refused. If you trust it, open it with torch.jit.load in a separate process and save its "
            f"state_dict().",
        )
        return read_torchscript(path)
    return _read_torch(path)


def _is_torchscript(path: Path) -> bool:
    try:
        return is_torchscript(path)
    except BadZipFile:
        return False


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        while len(tensors) < len(names):  # opened anew now and then, so that what was copied leaves the memory
            size = 0
            with safe_open(path, framework="pt") as file:
                for name in names[len(tensors) :]:
                    tensors[name] = file.get_tensor(name).clone()
                    size += tensors[name].nbytes
                    if size > _SIZE_AT_ONCE:
                        break
    except SafetensorError as error:
        raise InvalidInputError(
            f"{path} is not a whole safetensors file: {error}. Fetch or save it again; compare its size and hash."
        ) from error
    return tensors


def _read_torch(path: Path) -> Any:
    try:
        # Mapping is faster, but a file written again in place, as torch.save does, would change a used network without
        # a word, or kill the process. So torch maps only where it was told to (None); files of its older versions
        # cannot be mapped.
        mmap = None if is_zipfile(path) else False
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if any(word in str(error) for word in ("GLOBAL", "REDUCE", "reduce", "Unsupported class")):
            raise InvalidInputError(
                f"{path} holds Python objects beside tensors. Reading them may run code from the file, so it was "
                f"refused. If you trust the file, read it with torch.load(path, weights_only=False) in a separate "
                f"process and save only its state_dict."
            ) from error
        raise InvalidInputError(_not_a_checkpoint(path)) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # What PyTorch's readers raise for bytes that are no checkpoint depends on where they stop making sense.
        raise InvalidInputError(_not_a_checkpoint(path)) from error


def _not_a_checkpoint(path: Path) -> str:
    return (
        f"{path} ({path.stat().st_size} bytes) is not a whole PyTorch checkpoint: it is cut off or of another format. "
        f"Fetch or save it again; compare its size and hash with those of the source."
    )
