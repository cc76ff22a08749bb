"""Embeddings kept in a file, together with what they belong to."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oml.ddp.utils import get_world_size_safe, is_main_process, sync_dicts_ddp
from oml.utils.io import atomic_path, open_sink

# The fingerprints of embeddings, and what to say if they differ.
_MEANINGS = {
    "model": "model or other weights",
    "dataset": "data set, transform or state of its files",
    "inputs": "content of items",
    "precision": "precision",
}


def read_embeddings(path: Path, fingerprints: Mapping[str, str]) -> Tensor | None:
    """
    Give the embeddings in the file if they belong to these fingerprints, and each process of the group finds so.

    Warns:
        UserWarning: there is a file, but its embeddings belong to something else, or cannot be read.

    """
    reason, embeddings = _read(path, fingerprints) if path.is_file() else (None, None)
    if reason and is_main_process():
        warnings.warn(f"The embeddings in {path} {reason}: they are calculated anew.", stacklevel=3)
    found = sync_dicts_ddp({"found": [embeddings is not None]}, get_world_size_safe())["found"]
    return embeddings if all(found) else None


def write_embeddings(path: Path, embeddings: Tensor, fingerprints: Mapping[str, str]) -> None:
    """Write the embeddings from the main process, whole or not at all."""
    if is_main_process():
        with atomic_path(path) as temporary, open_sink(temporary) as file:
            torch.save({"embeddings": embeddings.cpu(), "fingerprints": dict(fingerprints)}, file)


def _read(path: Path, fingerprints: Mapping[str, str]) -> tuple[str | None, Tensor | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the reader, about other formats
            content = torch.load(path, map_location="cpu", weights_only=True)
        embeddings, others = (content[name] for name in ("embeddings", "fingerprints") if isinstance(content, dict))
        differing = [_MEANINGS[name] for name in fingerprints if others[name] != fingerprints[name]]
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        return "cannot be read, or say not what they belong to", None
    if differing:
        return f"belong to another {', another '.join(differing)}", None
    return None, embeddings
