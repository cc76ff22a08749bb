"""Stanford Cars (CARS196)."""

from pathlib import Path
from typing import Any

import pandas as pd

from oml.errors import check
from oml.utils.converters.protocol import OFFICIAL, UNSEEN, Counts, find_files, finish, split_by_label

FILES = ("devkit/cars_meta.mat", "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat")
FIELDS = {"bbox_x1": "x_1", "bbox_x2": "x_2", "bbox_y1": "y_1", "bbox_y2": "y_2", "class": "label", "fname": "path"}
COUNTS = {
    OFFICIAL: Counts(train=(8144, 196), validation=(8041, 196), labels=196),
    UNSEEN: Counts(train=(8054, 98), validation=(8131, 98), labels=196),
}


def build_cars196_df(
    dataset_root: Path | str, no_bboxes: bool = False, protocol: str = OFFICIAL, is_complete: bool = True
) -> pd.DataFrame:
    """
    Give the table of CARS196 from its folder: labels 1 to 196, all validation rows are queries and galleries.

    Krause et al. 2013, "3D Object Representations for Fine-Grained Categorization". Its official split is by picture:
    8,144 for training and 8,041 for validation share the 196 labels. Papers on metric learning validate on unseen
    labels: the first 98 (8,054 pictures) for training, the other 98 (8,131) for validation.

    Args:
        dataset_root: The folder with `cars_train`, `cars_test`, `cars_test_annos_withlabels.mat` and `devkit`, which
            has `cars_meta.mat` and `cars_train_annos.mat`.
        no_bboxes: Whether to leave the boxes out.
        protocol: "official" or "unseen".
        is_complete: Whether other numbers of rows or labels are an error instead of a warning.

    Raises:
        InvalidInputError: a file is missing or has other fields, a label has no name in `cars_meta.mat`, or the numbers
            are not the published ones.
        ImportError: scipy is not installed.

    """
    meta, train, test = find_files(dataset_root, FILES)
    df = pd.concat([_read(train, "cars_train"), _read(test, "cars_test")], ignore_index=True)
    n_names = _load(meta)["class_names"].size
    check(
        bool(df["label"].between(1, n_names).all()),
        f"Labels must be numbers of the {n_names} names in {meta}, got {df['label'].min()} to {df['label'].max()}.",
    )
    is_test = df["path"].str.startswith("cars_test/")
    if no_bboxes:
        df = df.drop(columns=["x_1", "x_2", "y_1", "y_2"])
    df = split_by_label(df, is_test, protocol, n_train_labels=98)
    return finish(df, dataset_root, "CARS196", COUNTS.get(protocol, COUNTS[OFFICIAL]), is_complete)


def _read(path: Path, folder: str) -> pd.DataFrame:
    annotations = _load(path)["annotations"].reshape(-1)
    missing = [name for name in FIELDS if name not in (annotations.dtype.names or ())]
    check(not missing, f"The annotations in {path} lack the fields {', '.join(missing)}.")
    df = pd.DataFrame({column: [cell.item() for cell in annotations[name]] for name, column in FIELDS.items()})
    df["path"] = folder + "/" + df["path"]
    return df.astype(dict.fromkeys(["x_1", "x_2", "y_1", "y_2", "label"], int))


def _load(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(f"Reading {path} needs scipy: pip install open-metric-learning[data].") from error
    return dict(loadmat(path))
