"""Names of countries, languages and currencies in many languages, a real retrieval data set that needs no download."""

import unicodedata
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from oml.const import NAMES_DATASET_PATH
from oml.utils.generated_datasets import GeneratedDataset, get_generated_dataset

# Codes of CLDR: those that are written in Latin letters and have a name for nearly everything
LANGUAGES = "az ca cs da de en es et eu fi fr ga gl hr hu id is it lt lv ms nb nl pl pt ro sk sl sq sv tr vi"
CATEGORIES = {"territory": "territories", "language": "languages", "currency": "currencies"}
MIN_NAMES = 4  # of a label
SPLIT_SEED = 0


def get_names_dataset(
    dataset_root: Path | str = NAMES_DATASET_PATH, check_md5: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of about 24,000 names, which are written as `df.csv` first if not there yet.

    A label is a territory (a country or region), a language or a currency; its texts are its different names in 32
    languages with Latin letters, as the Unicode CLDR has them: Germany, Deutschland, Saksamaa, Þýskaland. Names that
    several labels share are left out. Category: which of the three it is. The labels are split in halves, so that what
    is named at validation has not been seen in training; there each text is a query and a gallery (1 vs rest).

    Args:
        dataset_root: The folder of the data set; by default in the cache folder.
        check_md5: Whether to check the table by its hash, and to write it again if it is damaged.

    Raises:
        ImportError: babel, which brings the names, is not installed.
        OSError: the folder cannot be written.
        FileExistsError: the folder holds other files with the names of the data set's files.

    """
    try:
        source = version("babel")
    except PackageNotFoundError as error:
        raise ImportError("The names come with babel: pip install open-metric-learning[data]") from error
    dataset = GeneratedDataset(f"names 1, babel {source}", ("df.csv",), write_names)
    return get_generated_dataset(dataset, dataset_root, "df.csv", check_md5, global_paths=False)


def write_names(folder: Path) -> None:
    """Write the table `df.csv` into the folder."""
    import numpy as np

    names = collect_names()
    is_train = np.random.RandomState(SPLIT_SEED).permutation(len(names)) < len(names) // 2
    rows = [
        {"label": label, "text": text, "split": "train" if is_train[label] else "validation", "category": category}
        for label, ((category, _), texts) in enumerate(names.items())
        for text in texts
    ]
    df = pd.DataFrame(rows)
    is_validation = df["split"] == "validation"
    for column in ("is_query", "is_gallery"):
        df[column] = is_validation.astype(object).where(is_validation, None)
    df.to_csv(folder / "df.csv", index=False)


def collect_names() -> dict[tuple[str, str], list[str]]:
    """Give the names of everything that has enough, sorted, by category and code; names that differ in case are one."""
    from babel import Locale

    found: dict[tuple[str, str], dict[str, str]] = {}
    for locale in map(Locale.parse, LANGUAGES.split()):
        for category, attribute in CATEGORIES.items():
            for code, name in getattr(locale, attribute).items():
                if is_latin(name):
                    found.setdefault((category, code), {}).setdefault(name.casefold(), name)
    n_owners = Counter(key for names in found.values() for key in names)
    unique = {
        owner: sorted(name for key, name in names.items() if n_owners[key] == 1) for owner, names in found.items()
    }
    return {owner: names for owner, names in sorted(unique.items()) if len(names) >= MIN_NAMES}


def is_latin(text: str) -> bool:
    """
    Tell whether a text has two letters at least, all of the Latin script.

    Example:
        >>> is_latin("Þýskaland"), is_latin("Γερμανία"), is_latin("419")
        (True, False, False)

    """
    letters = [letter for letter in text if letter.isalpha()]
    return len(letters) >= 2 and all(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
