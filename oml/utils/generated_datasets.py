"""Data sets that are drawn or computed on the user's machine, kept in a folder, and drawn again when damaged."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd

from oml.const import CACHE_PATH, IS_GALLERY_COLUMN, IS_QUERY_COLUMN, PATHS_COLUMN, SPLIT_COLUMN
from oml.errors import show_some, unknown_name_message
from oml.utils.io import atomic_path, calc_hash

MANIFEST = "oml_manifest.json"


class GeneratedDataset(NamedTuple):
    """
    What a data set consists of.

    Attributes:
        name: Name and version: where the generation changes, this must change, so that old folders are renewed.
        tables: Names of its csv files.
        generate: Writes all files into the given, empty folder.

    """

    name: str
    tables: Sequence[str]
    generate: Callable[[Path], None]


def get_generated_dataset(
    dataset: GeneratedDataset, dataset_root: Path | str, df_name: str, check_md5: bool, global_paths: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of a data set; generate it first if it is not in the folder, or damaged.

    Args:
        dataset: What it is.
        dataset_root: The folder.
        df_name: Which of its tables.
        check_md5: Whether to compare the hashes of all files with those noted at generation; otherwise the files must
            only be there.
        global_paths: Whether to put the folder before the paths in the tables.

    Raises:
        ValueError: there is no such table.
        OSError: the folder cannot be written, or holds files of the same names that are not ours.

    """
    if df_name not in dataset.tables:
        raise ValueError(unknown_name_message("df_name", df_name, dataset.tables))
    root = Path(dataset_root)
    if not is_complete(dataset, root, check_md5):
        generate_into(dataset, root)
    df = pd.read_csv(root / df_name)
    if global_paths:
        df[PATHS_COLUMN] = [str(root / path) for path in df[PATHS_COLUMN]]
    df_train, df_val = (df[df[SPLIT_COLUMN] == split].reset_index(drop=True) for split in ("train", "validation"))
    return df_train, df_val.astype({IS_QUERY_COLUMN: bool, IS_GALLERY_COLUMN: bool})


def is_complete(dataset: GeneratedDataset, root: Path, check_md5: bool = True) -> bool:
    """Tell whether all files that were noted at generation are in the folder and, if asked, have their hashes."""
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        hashes: dict[str, str] = dict(manifest["files"]) if manifest["name"] == dataset.name else {}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not a manifest
        return False
    files = {root / name: md5 for name, md5 in hashes.items()}
    is_whole = all(path.is_file() and (not check_md5 or calc_hash(path) == md5) for path, md5 in files.items())
    return is_whole and set(dataset.tables) <= set(hashes)


def generate_into(dataset: GeneratedDataset, root: Path) -> None:
    """
    Generate the data set in the folder; other files there stay.

    First everything is written to a temporary folder, then each file is moved to its place, so none is ever seen
    half-written. Several processes may do it at once: they put the same files in place.

    Raises:
        OSError: the folder cannot be written.
        FileExistsError: the folder holds files of the same names that do not come from here.

    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new.", dir=root) as folder:
            dataset.generate(Path(folder))
            names = sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())
            present = [name for name in names if os.path.lexists(root / name)]
            foreign = [] if _is_ours(root) else present  # asked in this order: another process puts the manifest first
            if not foreign:
                _move(dataset, Path(folder), root, names)
    except OSError as error:
        text = f"Cannot write the data set to the folder {root} ({error.strerror or error}). Pass another dataset_root."
        raise OSError(error.errno, text) from error
    if foreign:
        raise FileExistsError(
            f"The folder {root} holds files that the data set would overwrite and that were not made here: "
            f"{show_some(foreign)}. Pass another dataset_root, or delete them."
        )


def _is_ours(root: Path) -> bool:
    return (root / MANIFEST).exists() or root.absolute().is_relative_to(CACHE_PATH.absolute())


def _move(dataset: GeneratedDataset, source: Path, root: Path, names: Sequence[str]) -> None:
    # The manifest goes first: with it an interrupted move is known as ours, and as incomplete by the hashes.
    hashes = {name: calc_hash(source / name) for name in names}
    with atomic_path(root / MANIFEST) as path:
        path.write_text(json.dumps({"name": dataset.name, "files": hashes}, indent=1))
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / name, root / name)
