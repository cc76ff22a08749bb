"""Stanford Online Products (SOP)."""

from pathlib import Path

import pandas as pd

from oml.utils.converters.protocol import Counts, find_files, finish, mark_all

COUNTS = Counts(train=(59551, 11318), validation=(60502, 11316), labels=22634)


def build_sop_df(dataset_root: Path | str, is_complete: bool = True) -> pd.DataFrame:
    """
    Give the table of Stanford Online Products from its folder: category is the kind of product, all validation rows are
    queries and galleries.

    Song et al. 2016, "Deep Metric Learning via Lifted Structured Feature Embedding". 59,551 pictures of 11,318 products
    for training, 60,502 of 11,316 others for validation. There are no boxes.

    Args:
        dataset_root: The folder with `Ebay_train.txt`, `Ebay_test.txt` and the folders of pictures.
        is_complete: Whether other numbers of rows or labels are an error instead of a warning.

    Raises:
        InvalidInputError: a file is missing, or the numbers are not the published ones.

    """
    paths = find_files(dataset_root, ["Ebay_train.txt", "Ebay_test.txt"])
    parts = [pd.read_csv(path, sep=" ") for path in paths]
    df = pd.concat(parts, ignore_index=True)
    is_validation = pd.Series([False] * len(parts[0]) + [True] * len(parts[1]), dtype=bool)
    category = df["path"].str.split("/").str[-2]
    table = pd.DataFrame({"label": df["class_id"], "path": df["path"], "category": category})
    return finish(mark_all(table, is_validation), dataset_root, "Stanford Online Products", COUNTS, is_complete)
