"""`oml search`: what of a table is nearest to given files or texts."""

import argparse
import json
from pathlib import Path
from typing import Any

from oml.cli.bundles import add_bundle_arguments, add_table_argument, embed, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    add_bundle_arguments(parser)
    add_table_argument(parser)
    parser.add_argument("query", nargs="+", help="file to search for; for texts, a text")
    parser.add_argument("--top-k", type=int, default=5, help="answers to show (%(default)s)")
    parser.add_argument("--threshold", type=float, help="largest distance of an answer (that of the bundle)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Embed queries and galleries, search, print."""
    from oml.bundles.data import Items, list_items
    from oml.errors import check
    from oml.functional.search import search

    check(arguments.top_k >= 1, f"--top-k must be at least 1, got {arguments.top_k}.")
    bundle = load(arguments)
    df = read_gallery(arguments.table)
    items = list_items(bundle.card, df, arguments.root or arguments.table.parent)
    galleries = embed(arguments, bundle, items)
    queries = embed(arguments, bundle, Items(arguments.query))
    answers = search(queries, galleries, k=arguments.top_k)
    threshold = bundle.card.threshold if arguments.threshold is None else arguments.threshold
    labels = df["label"].tolist() if "label" in df.columns else None
    found = []
    for query, distances, ids in zip(arguments.query, answers.distances.tolist(), answers.ids.tolist(), strict=True):
        pairs = [
            (d, i) for d, i in zip(distances, ids, strict=True) if i >= 0 and (threshold is None or d <= threshold)
        ]
        rows = [{"item": items.names[i], "distance": d} | ({"label": labels[i]} if labels else {}) for d, i in pairs]
        found.append({"query": query, "answers": rows})
    if arguments.json:
        print(json.dumps({"threshold": threshold, "found": found}, indent=2, ensure_ascii=False))
    else:
        for answer in found:
            print_answers(answer, threshold)
    return 0


def print_answers(answer: dict[str, Any], threshold: float | None) -> None:
    """Print the answers to a query, a line each."""
    print(answer["query"])
    for row in answer["answers"]:
        label = f"  label {row['label']}" if "label" in row else ""
        print(f"  {row['distance']:.4f}  {row['item']}{label}")
    if not answer["answers"]:
        print(f"  nothing within the threshold {threshold:g}")


def read_gallery(path: Path) -> Any:
    """Give the rows to search in: those marked `is_gallery`; all where there is no such column."""
    from oml.bundles.data import read_validation
    from oml.datasets.table import read_flags

    df = read_validation(path)
    return df[read_flags(df, "is_gallery")].reset_index(drop=True) if "is_gallery" in df.columns else df
