"""Tables and files as data sets for the extractor of a bundle, with the bundle's own preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oml.bundles.card import Card
from oml.bundles.preprocessing import AUDIO, IMAGE, TEXT
from oml.const import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS, PATHS_COLUMN, SPLIT_COLUMN, TEXTS_COLUMN, TBBox
from oml.errors import InvalidInputError, check, show_some
from oml.interfaces.datasets import IBaseDataset, IQueryGalleryLabeledDataset
from oml.transforms.images.utils import get_im_reader_for_transforms

if TYPE_CHECKING:
    import pandas as pd

_TRANSFORM_ARGUMENT = {IMAGE: "transform", TEXT: "tokenizer"}  # of data sets


def read_validation(path: Path | str) -> pd.DataFrame:
    """
    Read a table in the documented format and give the rows of its validation split, or all where there are no splits.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidInputError: no row is left.

    """
    df = _read(Path(path))
    if SPLIT_COLUMN not in df.columns:
        return df.assign(**{SPLIT_COLUMN: "validation"})
    df = df[df[SPLIT_COLUMN] == "validation"].reset_index(drop=True)
    check(len(df) > 0, f"{path} has no rows to validate on: rows whose {SPLIT_COLUMN!r} is 'validation'.")
    return df


def make_dataset(card: Card, transform: Any, df: pd.DataFrame, root: Path | str) -> IQueryGalleryLabeledDataset:
    """
    Make a data set of queries and galleries with labels.

    Args:
        card: Says what the items are.
        transform: What gives the extractor's input; a tokenizer for texts.
        df: A table in the documented format.
        root: The folder that relative paths start at.

    """
    from oml.datasets.retrieval import get_retrieval_datasets

    args = dict(card.dataset_args)
    if card.modality in _TRANSFORM_ARGUMENT:
        args[_TRANSFORM_ARGUMENT[card.modality]] = transform
    if card.modality == IMAGE:
        args["f_imread"] = get_im_reader_for_transforms(transform)  # all pixels, as in service
    # the files are the caller's own, wherever they lie
    _, val = get_retrieval_datasets(f"{card.modality}s", df, root, verbose=False, allow_outside_root=True, **args)
    return val  # type: ignore[no-any-return]


class Items(NamedTuple):
    """
    What there is to embed.

    Attributes:
        names: Paths of files, or texts.
        root: The folder that paths are relative to.
        bboxes: The part of each picture, or None for whole pictures.
        start_times: Where each sound begins, in seconds, or None for their beginnings.

    """

    names: list[str]
    root: Path | str = ""
    bboxes: list[TBBox | None] | None = None
    start_times: list[float] | None = None


def make_items(card: Card, transform: Any, items: Items) -> IBaseDataset:
    """Make a data set of files, or of texts, without labels."""
    from oml import datasets

    args: Any = card.dataset_args
    if card.modality == IMAGE:
        read = get_im_reader_for_transforms(transform)  # all pixels, as in service
        return datasets.ImageBaseDataset(
            items.names, items.root, items.bboxes, transform=transform, f_imread=read, **args
        )
    if card.modality == TEXT:
        return datasets.TextBaseDataset(items.names, transform, **args)
    audio: IBaseDataset = datasets.AudioBaseDataset(items.names, items.root, start_times=items.start_times, **args)
    return audio


def list_items(card: Card, source: Path | str | pd.DataFrame, root: Path | None = None) -> Items:
    """
    Give what there is to embed: the files of a folder (with those of its folders), or the rows of a table.

    Args:
        card: Says what the items are.
        source: A folder; or a table, or its file, with the column `path` (and those of boxes, or `start_time`, if
            any), for texts `text`.
        root: The folder that the paths of a table start at; by default that of the file.

    Raises:
        FileNotFoundError: there is no such file or folder.
        InvalidInputError: there are no items, a row is empty, or the file is no table.

    """
    import pandas as pd

    from oml.datasets.audios import parse_start_times
    from oml.datasets.images import parse_bboxes

    column = TEXTS_COLUMN if card.modality == TEXT else PATHS_COLUMN
    df, name = source, "The table"
    if not isinstance(df, pd.DataFrame):
        place = Path(df)
        if place.is_dir():
            return Items(_list_files(card, place, column), place)
        df, root, name = _read(place), place.parent if root is None else root, str(place)
    if column not in df.columns:
        raise InvalidInputError(f"{name} lacks the column {column!r}. Its columns: {', '.join(map(str, df.columns))}.")
    check(len(df) > 0, f"{name} has no rows.")
    empty = [str(row) for row in df[column].isna().to_numpy().nonzero()[0]]
    check(
        not empty,
        f"{name} has empty cells in the column {column!r}, in the rows {show_some(empty)}. Fill or drop them.",
    )
    return Items(
        df[column].astype(str).tolist(),
        root or "",
        parse_bboxes(df) if card.modality == IMAGE else None,
        parse_start_times(df) if card.modality == AUDIO else None,
    )


def _read(path: Path) -> pd.DataFrame:
    from oml.utils.tables import read_table

    if not path.is_file():
        raise FileNotFoundError(
            f"There is no folder or table {path}. A table is a csv or parquet file, see docs/data.md."
        )
    return read_table(path)


def _list_files(card: Card, folder: Path, column: str) -> list[str]:
    check(card.modality != TEXT, f"{folder} is a folder; for texts give a table with the column {column!r}.")
    endings = {e.lower().lstrip(".") for e in (IMAGE_EXTENSIONS if card.modality == IMAGE else AUDIO_EXTENSIONS)}
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower().lstrip(".") in endings and p.is_file())
    check(bool(files), f"{folder} has no files of the modality {card.modality}: {', '.join(sorted(endings))}.")
    return [p.relative_to(folder).as_posix() for p in files]
