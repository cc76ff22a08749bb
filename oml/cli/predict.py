"""`oml predict`: embeddings of the files of a folder, or of a table."""

import argparse
import json
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

    out: Path = arguments.out
    check(out.suffix in _ENDINGS, f"--out must end with {', '.join(_ENDINGS)}, got {str(out)!r}.")
    bundle = load(arguments)
    items = list_items(bundle.card, arguments.data)
    embeddings = embed(arguments, bundle, items).cpu().numpy()
    write_embeddings(out, items.names, embeddings)
    print(f"{len(items.names)} embeddings of {embeddings.shape[1]} features are in {out}.")
    return 0


def write_embeddings(out: Path, items: list[str], embeddings: Any) -> None:
    """Write embeddings (N, D) and the items they belong to, each file as a whole or not at all."""
    import numpy as np

    from oml.utils.io import atomic_path

    if out.suffix == ".npy":
        with atomic_path(out.with_suffix(".items.json")) as path:
            path.write_text(json.dumps(items, indent=1, ensure_ascii=False), encoding="utf-8")
        with atomic_path(out) as path:
            np.save(path, embeddings)
    elif out.suffix == ".parquet":
        import pandas as pd

        table = pd.DataFrame({"item": items, "embedding": list(embeddings)})
        with atomic_path(out) as path:
            try:
                table.to_parquet(path)
            except ImportError as error:
                raise ImportError("Parquet needs pyarrow: pip install open-metric-learning[data]") from error
    else:
        rows = [{"item": item, "embedding": row} for item, row in zip(items, embeddings.tolist(), strict=True)]
        with atomic_path(out) as path:
            path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
