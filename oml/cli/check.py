"""`oml check TABLE`: find everything that is wrong or suspect in a data set, and end with 1 where there are errors."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    parser.add_argument("table", metavar="TABLE", type=Path, help="a csv or parquet file in the documented format")
    parser.add_argument("--root", type=Path, help="folder that the paths are relative to (that of the table)")
    parser.add_argument("--embeddings", type=Path, help=".npy or .pt file with a row for each row of the table")
    parser.add_argument("--sep", default=",", help="separator of a csv file (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--strict", action="store_true", help="end with 1 where something is suspect, too")
    parser.add_argument("--no-files", action="store_true", help="do not look into the files")
    parser.add_argument("--allow-outside-root", action="store_true", help="paths may lead out of the folder")
    parser.add_argument("--workers", type=int, help="processes that read files (all cores)")


def run(arguments: argparse.Namespace) -> int:
    """Check and print the report."""
    from oml.errors import check
    from oml.utils import check_dataset

    check(arguments.workers is None or arguments.workers > 0, f"--workers must be positive, got {arguments.workers}.")
    report = check_dataset(
        arguments.table,
        arguments.root,
        embeddings=None if arguments.embeddings is None else read_array(arguments.embeddings),
        allow_outside_root=arguments.allow_outside_root,
        check_files=not arguments.no_files,
        n_workers=arguments.workers,
        verbose=not arguments.json,
        sep=arguments.sep,
    )
    print(json.dumps(report.to_dict(), indent=1) if arguments.json else report)
    return int(bool(report.errors or (arguments.strict and report.warnings)))


def read_array(path: Path) -> Any:
    """
    Give the array of numpy or the tensor of torch in a file.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidInputError: it holds something else.

    """
    import pickle
    from contextlib import suppress

    import numpy as np
    import torch

    from oml.errors import InvalidInputError

    values = None
    with suppress(ValueError, EOFError, RuntimeError, pickle.UnpicklingError):  # what both raise for other content
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else torch.load(path, weights_only=True)
    if not isinstance(values, np.ndarray | torch.Tensor):
        raise InvalidInputError(
            f"{path} must hold one array, written by `numpy.save` (.npy) or by `torch.save` of a tensor (.pt)."
        )
    return values
