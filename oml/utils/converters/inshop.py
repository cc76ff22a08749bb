"""DeepFashion, In-shop Clothes Retrieval."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from oml.const import BBOXES_COLUMNS, IS_GALLERY_COLUMN, IS_QUERY_COLUMN, PATHS_COLUMN
from oml.errors import check, show_some
from oml.utils.converters.protocol import Counts, find_files, finish, mark_all

FILES = ("list_eval_partition.txt", "list_bbox_inshop.txt")
STATUSES = ("train", "query", "gallery")
COUNTS = Counts(train=(25882, 3997), validation=(26830, 3985), labels=7982)
N_QUERIES = 14218
SIDE = 256  # of the squares, with a picture in the middle of each, that the boxes are noted for


def build_inshop_df(dataset_root: Path | str, no_bboxes: bool = False, is_complete: bool = True) -> pd.DataFrame:
    """
    Give the table of In-shop Clothes Retrieval from its folder: label is the number of the item, category the kind.

    Liu et al. 2016, "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations". 25,882
    pictures of 3,997 items for training; for validation 14,218 queries and 12,612 galleries, of 3,985 other items.
    Training items with a single picture are dropped from the table: no pair can be made of them. Boxes are published
    for the small pictures of `img`, squares of 256 pixels; the table has them in pixels of the large ones.

    Args:
        dataset_root: The folder with `img_highres`, `list_eval_partition.txt` (or in `Eval`) and
            `list_bbox_inshop.txt` (or in `Anno`).
        no_bboxes: Whether to leave the boxes out.
        is_complete: Whether other numbers of rows or labels are an error instead of a warning.

    Raises:
        InvalidInputError: a file is missing, a row has another status, or the numbers are not the published ones.

    """
    partition, boxes = find_files(dataset_root, FILES, ["", "Eval", "Anno"])
    df = _read(partition)
    unknown = set(df["evaluation_status"]) - {*STATUSES}
    check(not unknown, f"{partition}: a status must be one of {', '.join(STATUSES)}, got {show_some(sorted(unknown))}.")
    if not no_bboxes:
        df = df.merge(_read(boxes)[["image_name", *BBOXES_COLUMNS]], on="image_name", validate="1:1")
    names = df["image_name"].str.split("/")
    status = df.pop("evaluation_status")
    df["label"] = df.pop("item_id").str[3:].astype(int)
    df["path"] = df.pop("image_name").str.replace("img/", "img_highres/", n=1, regex=False)
    df["category"] = names.str[-3]
    table = mark_all(df, status != "train")
    for column, name in ((IS_QUERY_COLUMN, "query"), (IS_GALLERY_COLUMN, "gallery")):
        table[column] = (status == name).astype(object).where(status != "train", None)
    is_whole = (status == "query").sum() == N_QUERIES or not is_complete
    check(is_whole, f"The data set has {N_QUERIES} queries, but {partition} names {(status == 'query').sum()}.")
    is_single = (status == "train") & ~df["label"].duplicated(keep=False)
    whole = finish(table, dataset_root, "In-shop Clothes Retrieval", COUNTS, is_complete)
    if not no_bboxes:
        whole[BBOXES_COLUMNS] = scale_boxes(whole, Path(dataset_root))
    return whole[~is_single.to_numpy()].reset_index(drop=True)


def scale_boxes(df: pd.DataFrame, root: Path) -> pd.DataFrame:
    """
    Give the boxes in pixels of the pictures at the paths; none where nothing of a box lies inside.

    Raises:
        OSError: a file is no picture.

    """
    sizes = np.array([_read_size(root / path) for path in df[PATHS_COLUMN]]).reshape(len(df), 2)
    scale = sizes.max(axis=1, keepdims=True) / SIDE
    boxes = df[BBOXES_COLUMNS].to_numpy()
    both = sizes[:, [0, 0, 1, 1]]
    boxes = np.rint((boxes - SIDE / 2) * scale + both / 2).clip(0, both).astype(int)
    is_inside = (boxes[:, [0, 2]] < boxes[:, [1, 3]]).all(axis=1)
    scaled = pd.DataFrame(boxes, columns=BBOXES_COLUMNS, index=df.index)
    return scaled if is_inside.all() else scaled.where(np.repeat(is_inside[:, None], 4, axis=1))


def _read_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=r"\s+", skiprows=1)  # the first line is the number of rows
