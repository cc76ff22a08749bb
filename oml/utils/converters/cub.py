"""CUB-200-2011: birds."""

from pathlib import Path

import pandas as pd

from oml.utils.converters.protocol import OFFICIAL, UNSEEN, Counts, find_files, finish, split_by_label

FILES = ("images.txt", "train_test_split.txt", "bounding_boxes.txt", "image_class_labels.txt")
COUNTS = {
    OFFICIAL: Counts(train=(5994, 200), validation=(5794, 200), labels=200),
    UNSEEN: Counts(train=(5864, 100), validation=(5924, 100), labels=200),
}


def build_cub_df(
    dataset_root: Path | str, no_bboxes: bool = False, protocol: str = OFFICIAL, is_complete: bool = True
) -> pd.DataFrame:
    """
    Give the table of CUB-200-2011 from its folder: labels 1 to 200, all validation rows are queries and galleries.

    Wah et al. 2011, "The Caltech-UCSD Birds-200-2011 Dataset". Its official split is by picture: 5,994 for training and
    5,794 for validation share the 200 labels. Papers on metric learning validate on unseen labels: the first 100 (5,864
    pictures) for training, the other 100 (5,924) for validation.

    Args:
        dataset_root: The folder with `images.txt`, `train_test_split.txt`, `bounding_boxes.txt`,
            `image_class_labels.txt` and `images`.
        no_bboxes: Whether to leave the boxes out.
        protocol: "official" or "unseen".
        is_complete: Whether other numbers of rows or labels are an error instead of a warning.

    Raises:
        InvalidInputError: a file is missing, or the numbers are not the published ones.

    """
    images, splits, boxes, labels = find_files(dataset_root, FILES)
    df = _read(images, ["path"]).join(_read(splits, ["is_train"])).join(_read(labels, ["label"]))
    if not no_bboxes:
        df = df.join(_read(boxes, ["x_1", "y_1", "w", "h"]))
        df["x_2"], df["y_2"] = df["x_1"] + df["w"], df["y_1"] + df["h"]
        df = df.drop(columns=["w", "h"]).astype(dict.fromkeys(["x_1", "x_2", "y_1", "y_2"], int))
    df["path"] = "images/" + df["path"]
    df = split_by_label(df.drop(columns="is_train"), df["is_train"] == 0, protocol, n_train_labels=100)
    return finish(df, dataset_root, "CUB-200-2011", COUNTS.get(protocol, COUNTS[OFFICIAL]), is_complete)


def _read(path: Path, names: list[str]) -> pd.DataFrame:
    return pd.read_csv(path, sep=" ", header=None, names=["image_id", *names], index_col="image_id")
