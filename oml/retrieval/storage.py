"""
Retrieval results as a file in the safetensors format, memory-mapped when read.

The file is written here rather than by the library, which would first copy all arrays into memory.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from oml.errors import InvalidInputError
from oml.functional.ragged import Ragged
from oml.retrieval.ground_truth import GroundTruth, LabelGroundTruth, ListedGroundTruth
from oml.utils.io import atomic_path

_FORMAT = "oml.retrieval_results"
_VERSION = "1"
_SIDES = ("query", "gallery")
_ALIGNMENT = 8  # bytes; arrays begin at multiples of it, so that they can be used where they lie
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class UnreadableResultsError(InvalidInputError):
    """A file that holds no retrieval results, or only a part of them."""


class StoredResults(NamedTuple):
    """What a file holds: the arrays of `RetrievalResults`."""

    distances: Tensor
    ids: Tensor
    lengths: Tensor
    ground_truth: GroundTruth | None


def write_results(path: Path | str, results: StoredResults) -> None:
    """Write the file as a whole or not at all; beyond the arrays it takes the memory of one block of a file."""
    arrays = {"distances": results.distances, "ids": results.ids, "lengths": results.lengths}
    arrays |= _list_ground_truth(results.ground_truth)
    header: dict[str, Any] = {"__metadata__": {"format": _FORMAT, "version": _VERSION}}
    start = 0
    arrays = {name: (array if name == "distances" else array.long()) for name, array in arrays.items()}
    # wide numbers first: what follows them is aligned too
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].element_size()))
    for name, array in arrays.items():
        stop = start + array.numel() * array.element_size()
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays.values():
            array.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tofile(file)


def read_results(path: Path | str) -> StoredResults:
    """
    Read a file of `write_results`; its arrays stay on the disk until looked at, and writing to them leaves it as it is.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableResultsError: the file is of another kind, is cut off, or its arrays do not fit together.

    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path} to load retrieval results from.")
    arrays = _map_arrays(path)
    try:
        gts = _read_ground_truth(arrays)
    except KeyError:
        _raise_damaged(path)
    results = StoredResults(arrays["distances"], arrays["ids"], arrays["lengths"], gts)
    _check_shapes(path, results)
    return results


def _list_ground_truth(gts: GroundTruth | None) -> dict[str, Tensor]:
    if gts is None:
        return {}
    if isinstance(gts, LabelGroundTruth):
        pairs = {"labels": (gts.labels_query, gts.labels_gallery)}
        pairs |= {f"exclude_{i}": keys for i, keys in enumerate(gts.exclude)}
        return {f"{name}_{side}": x for name, keys in pairs.items() for side, x in zip(_SIDES, keys, strict=True)}
    lists = gts.to_list().relevant
    return {"relevant_values": lists.values, "relevant_offsets": lists.offsets}


def _read_ground_truth(arrays: dict[str, Tensor]) -> GroundTruth | None:
    if "labels_query" in arrays:
        n_exclusions = sum(name.startswith("exclude_") for name in arrays) // 2
        names = ["labels", *(f"exclude_{i}" for i in range(n_exclusions))]
        (of_query, of_gallery), *exclude = [(arrays[f"{n}_query"], arrays[f"{n}_gallery"]) for n in names]
        return LabelGroundTruth(of_query, of_gallery, exclude)
    if "relevant_values" in arrays:
        return ListedGroundTruth(Ragged(arrays["relevant_values"], arrays["relevant_offsets"]))
    return None


def _map_arrays(path: Path) -> dict[str, Tensor]:
    n_bytes = path.stat().st_size
    header, start = _read_header(path, n_bytes)
    try:
        places = {name: (_DTYPES[x["dtype"]], x["shape"], x["data_offsets"]) for name, x in header.items()}
        n_needed = start + max(stop for _, _, (_, stop) in places.values())
    except (KeyError, TypeError, ValueError):
        _raise_foreign(path)
    if not {"distances", "ids", "lengths"} <= places.keys():
        _raise_foreign(path)
    if n_bytes < n_needed:
        raise UnreadableResultsError(
            f"{path} is cut off: it has {n_bytes} bytes of {n_needed}. Copy it again, or save the results again."
        )
    # private pages: what is written to the arrays does not reach the file
    content = np.memmap(path, dtype=np.uint8, mode="c", offset=0)
    try:
        return {
            name: torch.from_numpy(content[start + first : start + stop]).view(dtype).view(shape)
            if stop > first
            else torch.empty(shape, dtype=dtype)
            for name, (dtype, shape, (first, stop)) in places.items()
        }
    except RuntimeError:
        _raise_damaged(path)


def _read_header(path: Path, n_bytes: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        text = file.read(n_header) if n_header <= n_bytes else b""
    try:
        header = json.loads(text)
    except ValueError:
        _raise_foreign(path)
    if not isinstance(header, dict) or header.get("__metadata__", {}).get("format") != _FORMAT:
        _raise_foreign(path)
    version = header.pop("__metadata__").get("version")
    if version != _VERSION:
        raise UnreadableResultsError(f"{path} has version {version} of the format, known is {_VERSION}: update oml.")
    return header, 8 + n_header


def _raise_foreign(path: Path) -> NoReturn:
    raise UnreadableResultsError(
        f"{path} is no file of retrieval results, or only its beginning. Load what RetrievalResults.save has written."
    )


def _check_shapes(path: Path, results: StoredResults) -> None:
    distances, ids, lengths, gts = results
    is_fine = (
        distances.ndim == 2
        and distances.shape == ids.shape
        and lengths.shape == (len(ids),)
        and (gts is None or len(gts) == len(ids))
        and bool(((lengths >= 0) & (lengths <= ids.shape[1])).all())
    )
    if not is_fine:
        _raise_damaged(path)


def _raise_damaged(path: Path) -> NoReturn:
    raise UnreadableResultsError(f"The arrays of {path} do not fit together: the file is damaged.")
