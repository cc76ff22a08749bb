"""Weights out of TorchScript archives, the format of OpenAI's files of CLIP."""

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from oml.errors import InvalidInputError


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is a TorchScript archive: a zip with the constants of compiled code in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """
    Give the names and tensors of a TorchScript archive, on CPU.

    Opening such an archive may run code from it: the caller has to know where the file comes from, by its hash.

    Raises:
        InvalidInputError: the file is cut off or is no such archive.

    """
    with warnings.catch_warnings():
        # PyTorch wants new files to be made by torch.export; these are old.
        warnings.filterwarnings("ignore", message=".*torch.jit.load", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.load", category=DeprecationWarning)
        try:
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InvalidInputError(
                f"{path} ({path.stat().st_size} bytes) is not a whole TorchScript archive: {reason}. "
                f"Fetch it again; compare its size and hash with those of the source."
            ) from error
    state_dict: dict[str, Tensor] = module.state_dict()
    return dict(state_dict)
