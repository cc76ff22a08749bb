"""The mock data sets under their documented names. They are made on the spot: nothing is downloaded."""

from pathlib import Path

import pandas as pd

from oml.const import MOCK_AUDIO_DATASET_PATH, MOCK_DATASET_DEFAULT_CSV, MOCK_DATASET_PATH
from oml.utils.generated_datasets import get_generated_dataset
from oml.utils.mock_audios import MOCK_AUDIOS
from oml.utils.mock_images import MOCK_IMAGES
from oml.utils.mock_texts import make_mock_texts


def get_mock_images_dataset(
    dataset_root: Path | str = MOCK_DATASET_PATH,
    df_name: str = MOCK_DATASET_DEFAULT_CSV,
    check_md5: bool = True,
    global_paths: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of 48 pictures of coloured figures, which are drawn first if they are not there.

    Label: the figure (circle, ring, square, triangle for training; heart, crescent, star, cross, all unseen, for
    validation), six pictures each, 128 x 128, named as `images/circle_1.jpg`. At validation some pictures are queries,
    some are galleries and some both; each query has a gallery of its label, also outside of its own sequence. The index
    of both tables starts from 0, and the flags of the validation table are of the dtype bool.

    Args:
        dataset_root: The folder of the data set; by default in the cache folder.
        df_name: `df.csv`; `df_with_bboxes.csv`: adds true boxes around the figures, a few of them left empty;
            `df_with_category.csv`: adds whether the figure is curved or angular; `df_with_sequence.csv`: adds the
            sequences, two pictures each with the same background.
        check_md5: Whether to check all files by their hashes, and to draw the set again if one is damaged. If a file is
            missing, that is done anyway.
        global_paths: Whether to put `dataset_root` before the paths of the tables.

    Raises:
        ValueError: there is no such table.
        OSError: the folder cannot be written.
        FileExistsError: the folder holds other files with the names of the data set's files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     df_train, df_val = get_mock_images_dataset(folder)
        >>> df_train["path"].iloc[0], len(df_train), len(df_val)
        ('images/circle_1.jpg', 24, 24)

    """
    return get_generated_dataset(MOCK_IMAGES, dataset_root, df_name, check_md5, global_paths)


def download_mock_dataset(
    dataset_root: Path | str = MOCK_DATASET_PATH,
    check_md5: bool = True,
    df_name: str = MOCK_DATASET_DEFAULT_CSV,
    global_paths: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the same as `get_mock_images_dataset`: the older name, with another order of arguments."""
    return get_mock_images_dataset(dataset_root, df_name, check_md5, global_paths)


def get_mock_audios_dataset(
    dataset_root: Path | str = MOCK_AUDIO_DATASET_PATH,
    df_name: str = MOCK_DATASET_DEFAULT_CSV,
    check_md5: bool = True,
    global_paths: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of 40 sounds of made-up voices, which are computed first if they are not there.

    Label: the voice, four for training and four others, unseen, for validation; each sings vowels in five sounds of 2
    to 5 seconds (wav, 16 kHz, one channel), named as `voices/voice0_1.wav`. At validation some sounds are queries, some
    are galleries and most are both. The index of both tables starts from 0, and the flags of the validation table are
    of the dtype bool.

    Args:
        dataset_root: The folder of the data set; by default in the cache folder.
        df_name: `df.csv`, or `df_with_start_times.csv`, which adds where to begin, in seconds; some cells are empty.
        check_md5: Whether to check all files by their hashes, and to compute the set again if one is damaged. If a file
            is missing, that is done anyway.
        global_paths: Whether to put `dataset_root` before the paths of the tables.

    Raises:
        ValueError: there is no such table.
        OSError: the folder cannot be written.
        FileExistsError: the folder holds other files with the names of the data set's files.

    """
    return get_generated_dataset(MOCK_AUDIOS, dataset_root, df_name, check_md5, global_paths)


def get_mock_texts_dataset() -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of 35 short descriptions of products, made in memory.

    Label: the product (bed, table, tv, potato for training; chair, phone, audio, all unseen, for validation); category:
    furniture, electronic or food. At validation each text is a query and a gallery (1 vs rest).

    Example:
        >>> df_train, df_val = get_mock_texts_dataset()
        >>> df_train["text"].iloc[0], len(df_train), len(df_val)
        ('Oak bed for two with a padded headboard', 19, 16)

    """
    return make_mock_texts()
