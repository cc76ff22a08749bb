"""`oml predict`: embeddings of the files of a folder, or of a table."""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from oml.cli.bundles import add_bundle_arguments, embed, load

_ENDINGS = (".npy", ".parquet", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    add_bundle_arguments(parser)
    parser.add_argument("data", type=Path, help="folder of files, or csv file with the column path (for texts: text)")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="file: .npy (the items beside it in .items.json), .parquet or .json, a row per item",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed and write."""
    from oml.bundles.data import list_items
    from oml.errors import check
    from oml.utils.io import atomic_path

    out: Path = arguments.out
    check(out.suffix in _ENDINGS, f"--out must end with {', '.join(_ENDINGS)}, got {str(out)!r}.")
    bundle = load(arguments)
    items = list_items(bundle.card, arguments.data)
    with ExitStack() as stack:  # first of all, so that a place that cannot be written to is found out before the work
        place = stack.enter_context(atomic_path(out))
        beside = stack.enter_context(atomic_path(out.with_suffix(".items.json"))) if out.suffix == ".npy" else None
        embeddings = embed(arguments, bundle, items).cpu().numpy()
        write_embeddings(place, items.names, embeddings, beside)
    print(f"{len(items.names)} embeddings of {embeddings.shape[1]} features are in {out}.")
    return 0


def write_embeddings(out: Path, items: list[str], embeddings: Any, beside: Path | None = None) -> None:
    """Write embeddings (N, D) and the items they belong to, which for .npy go to a file beside it."""
    if out.suffix == ".parquet":
        import pandas as pd

        try:
            pd.DataFrame({"item": items, "embedding": list(embeddings)}).to_parquet(out)
        except ImportError as error:
            raise ImportError("Parquet needs pyarrow: pip install open-metric-learning[data]") from error
    elif beside is None:
        rows = [{"item": item, "embedding": row} for item, row in zip(items, embeddings.tolist(), strict=True)]
        out.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        import numpy as np

        from oml.utils.io import open_sink

        beside.write_text(json.dumps(items, indent=1, ensure_ascii=False), encoding="utf-8")
        with open_sink(out) as file:
            np.save(file, embeddings)
