"""`oml convert NAME DIR`: write the table of a published data set beside its files."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from oml.errors import InvalidInputError, check, unknown_name_message

CONVERTERS = {
    "cub": "oml.utils.converters.cub.build_cub_df",
    "cars196": "oml.utils.converters.cars196.build_cars196_df",
    "sop": "oml.utils.converters.sop.build_sop_df",
    "inshop": "oml.utils.converters.inshop.build_inshop_df",
}
WITH_PROTOCOLS = ("cub", "cars196")
WITHOUT_BOXES = ("sop",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    parser.add_argument("name", metavar="NAME", help=", ".join(CONVERTERS))
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="folder of the unpacked data set; the table is put there"
    )
    parser.add_argument("--no-bboxes", action="store_true", help="leave the boxes out: df.csv, not df_with_bboxes.csv")
    parser.add_argument(
        "--protocol", default="official", help="of cub and cars196: official, or unseen labels (%(default)s)"
    )
    parser.add_argument("--allow-incomplete", action="store_true", help="only warn where rows or labels are missing")


def run(arguments: argparse.Namespace) -> int:
    """Convert and say what the table holds."""
    from oml.utils.io import atomic_path

    build = get_converter(arguments.name)
    options: dict[str, Any] = {"is_complete": not arguments.allow_incomplete}
    has_boxes = arguments.name not in WITHOUT_BOXES and not arguments.no_bboxes
    if arguments.name not in WITHOUT_BOXES:
        options["no_bboxes"] = arguments.no_bboxes
    if arguments.name in WITH_PROTOCOLS:
        options["protocol"] = arguments.protocol
    check(
        arguments.protocol == "official" or arguments.name in WITH_PROTOCOLS,
        f"{arguments.name} has one protocol only; --protocol is for {' and '.join(WITH_PROTOCOLS)}.",
    )
    df = build(arguments.folder, **options)
    path = arguments.folder / ("df_with_bboxes.csv" if has_boxes else "df.csv")
    with atomic_path(path) as temporary:
        df.to_csv(temporary, index=False)
    for split, part in df.groupby("split"):
        print(f"{split}: {len(part)} rows of {part['label'].nunique()} labels")
    print(f"The table is {path}.")
    return 0


def get_converter(name: str) -> Callable[..., Any]:
    """
    Give the function that makes the table of a data set.

    Raises:
        InvalidInputError: the name is unknown.

    """
    if name not in CONVERTERS:
        raise InvalidInputError(unknown_name_message("data set", name, list(CONVERTERS)))
    module, _, function = CONVERTERS[name].rpartition(".")
    converter: Callable[..., Any] = getattr(import_module(module), function)
    return converter
