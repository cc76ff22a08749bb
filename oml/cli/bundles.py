"""What the commands on bundles share: arguments, loading, embeddings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from oml.bundles import Bundle
    from oml.bundles.data import Items


def add_bundle_argument(parser: argparse.ArgumentParser) -> None:
    """Say which bundle."""
    parser.add_argument("bundle", help="folder of a bundle, or hf://owner/name")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help="module whose classes the bundle may name"
    )


def add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which bundle, and how it is run."""
    add_bundle_argument(parser)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, help="items that the model gets at once (%(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read items (%(default)s)")


def add_table_argument(parser: argparse.ArgumentParser) -> None:
    """Say which table of items with labels."""
    parser.add_argument("table", type=Path, help="csv file in the format of docs/data.md")
    parser.add_argument("--root", type=Path, help="folder that its paths start at (that of the table)")


def load(arguments: argparse.Namespace) -> Bundle:
    """Load the bundle, onto the device if one can be chosen."""
    import oml
    from oml.errors import InvalidInputError

    bundle: Bundle = oml.load_bundle(arguments.bundle, trusted_modules=arguments.trust)  # type: ignore[operator]
    device = getattr(arguments, "device", "cpu")
    try:
        bundle.extractor.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInputError(
            f"--device {device!r} cannot be used: {reason}. Use cpu, or one that is here."
        ) from error
    return bundle


def embed(arguments: argparse.Namespace, bundle: Bundle, items: Items) -> Tensor:
    """Give the embeddings (N, D) of files or texts."""
    from oml.bundles.data import make_items
    from oml.inference import inference

    dataset = make_items(bundle.card, bundle.transform, items)
    return inference(
        bundle.extractor, dataset, batch_size=arguments.batch_size, num_workers=arguments.workers, verbose=True
    )
