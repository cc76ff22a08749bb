"""`oml data NAME DIR`: write one of the data sets that come with the product into a folder."""

import argparse
from importlib import import_module
from pathlib import Path

from oml.errors import InvalidInputError, unknown_name_message

# Name -> import path of a function that takes the folder, makes what is not there yet, and gives the tables
# (train, validation), which lie in the folder as csv files.
DATASETS = {
    "glyphs": "oml.utils.glyphs.get_glyphs_dataset",
    "names": "oml.utils.names.get_names_dataset",
    "mock-audios": "oml.utils.download_mock_dataset.get_mock_audios_dataset",
    "mock-images": "oml.utils.download_mock_dataset.get_mock_images_dataset",
    "speakers": "oml.utils.speakers.get_speakers_dataset",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    parser.add_argument("name", metavar="NAME", help=", ".join(DATASETS))
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of the data set; it is made if needed")


def run(arguments: argparse.Namespace) -> int:
    """Write the data set and say what is in it."""
    if arguments.name not in DATASETS:
        raise InvalidInputError(unknown_name_message("data set", arguments.name, list(DATASETS)))
    module, _, function = DATASETS[arguments.name].rpartition(".")
    tables = getattr(import_module(module), function)(arguments.folder)
    for split, df in zip(("train", "validation"), tables, strict=True):
        print(f"{split}: {len(df)} items of {df['label'].nunique()} labels")
    print(f"The tables are {', '.join(sorted(path.name for path in arguments.folder.glob('*.csv')))} in the folder.")
    return 0
