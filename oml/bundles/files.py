"""The files of a bundle: weights, and how each file is known again."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from oml.errors import check, show_some
from oml.interfaces.models import IExtractor
from oml.models.checkpoint_files import read_file
from oml.models.checkpoints import describe_difference
from oml.utils.io import CHUNK_BYTES

WEIGHTS_FILE, CARD_FILE, README_FILE = "weights.safetensors", "bundle.json", "README.md"


def write_weights(extractor: IExtractor, path: Path) -> None:
    """Write the weights under the extractor's own names."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    empty = [name for name, tensor in extractor.state_dict().items() if tensor.is_meta]
    check(not empty, f"The extractor has no numbers, only shapes, on the device 'meta': {show_some(empty)}. Fill it.")
    tensors: dict[str, Tensor] = {}
    places = set()
    for name, tensor in extractor.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in places else tensor  # tied weights are written twice
        places.add(place)
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:  # has the number of the system's error in its text only
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, f"{path} could not be written: {error}") from error


def read_weights(extractor: IExtractor, folder: Path) -> None:
    """
    Fill the extractor with the weights of a bundle, in their dtypes.

    Raises:
        InvalidInputError: names or shapes differ.

    """
    state_dict = read_file(folder / WEIGHTS_FILE)  # empty where an extractor has no weights
    difference = describe_difference(state_dict, extractor)
    check(
        not difference,
        f"The weights of the bundle {folder} do not fit its extractor, {type(extractor).__name__} as made from "
        f"bundle.json. {difference} Before saving, merge LoRA with oml.models.tuning.merge_lora; an extractor "
        "whose layers were replaced otherwise needs a get_init_args() that makes it so.",
    )
    for name, tensor in (*extractor.named_parameters(), *extractor.named_buffers()):
        if name in state_dict and tensor.dtype != state_dict[name].dtype:
            tensor.data = tensor.data.to(state_dict[name].dtype)
    extractor.load_state_dict(state_dict, strict=False)


def list_files(folder: Path) -> Iterator[str]:
    """Give the names of all files in a folder, sorted."""
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


def describe_file(path: Path) -> dict[str, Any]:
    """Give the bytes and the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return {"size": path.stat().st_size, "sha256": digest.hexdigest()}


def check_files(folder: Path, files: Any) -> None:
    """
    Compare the files of a bundle with what is written about them.

    Raises:
        FileNotFoundError: a file is missing.
        InvalidInputError: a file is cut off, damaged or of another bundle.

    """
    check(isinstance(files, dict) and WEIGHTS_FILE in files, f"{folder / CARD_FILE} must list {WEIGHTS_FILE}.")
    outside = [name for name in files if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name]
    check(not outside, f"{folder / CARD_FILE} lists files outside its folder: {show_some(outside)}.")
    for name, expected in files.items():
        check(
            isinstance(expected, dict),
            f"{folder / CARD_FILE} must tell the size and the sha256 of {name}, got {expected!r}. Fetch or save the "
            "bundle again.",
        )
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"The bundle {folder} lacks the file {name}. Fetch or save it again, as a whole.")
        size = path.stat().st_size
        check(
            size == expected.get("size"),
            f"{path} has {size} bytes instead of {expected.get('size')}: it is cut off, or of another bundle. Fetch or "
            "save the bundle again, as a whole.",
        )
        check(
            describe_file(path)["sha256"] == expected.get("sha256"),
            f"{path} is not the file that the bundle was written with (its SHA-256 differs): it is damaged, or of "
            "another bundle. Fetch or save the bundle again, as a whole.",
        )
