"""`oml zoo`: the published checkpoints, as a table or in JSON, and their download."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oml.models.zoo import Checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument("--json", action="store_true", help="everything that is known, in JSON")
    shapes.add_argument("--markdown", action="store_true", help="the page docs/zoo.md")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    summary = "fetch a checkpoint, unless it is there, and check its hash"
    download = actions.add_parser("download", help=summary, description=summary.capitalize() + ".")
    download.add_argument("key", metavar="KEY", help="the key of the checkpoint, as `oml zoo` lists them")
    download.add_argument("--to", type=Path, metavar="FOLDER", help="where to put the file (the cache folder)")


def run(arguments: argparse.Namespace) -> int:
    """List the zoo, or download one of its checkpoints."""
    from oml.models.zoo import ZOO

    checkpoints = list(ZOO.values())
    if arguments.action == "download":
        print(fetch(arguments.key, arguments.to))
    elif arguments.json:
        print(json.dumps([asdict(checkpoint) for checkpoint in checkpoints], indent=2))
    elif arguments.markdown:
        print(describe_in_markdown(checkpoints), end="")
    else:
        print(describe(checkpoints))
    return 0


def fetch(key: str, folder: Path | None) -> Path:
    """
    Download a checkpoint into a folder, by default the one where extractors look for it; give the path.

    Raises:
        InvalidInputError: the key is unknown; the message names the nearest ones.
        DownloadError: no source gives the file; the message says which file to put where.

    """
    from oml.const import CKPT_SAVE_ROOT
    from oml.errors import check, unknown_name_message
    from oml.models.zoo import ZOO
    from oml.utils.download import download

    check(key in ZOO, unknown_name_message("checkpoint", key, list(ZOO)))
    checkpoint = ZOO[key]
    return download(checkpoint.sources, (folder or CKPT_SAVE_ROOT) / checkpoint.fname, checkpoint.hash)


def describe(checkpoints: Sequence["Checkpoint"]) -> str:
    """Give a text table of the checkpoints: key, extractor, its architecture, licence."""
    rows = [("KEY", "EXTRACTOR", "ARCHITECTURE", "LICENCE")]
    rows += [(one.key, one.extractor, str(one.init_args.get("arch", "-")), one.licence or "-") for one in checkpoints]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def describe_in_markdown(checkpoints: Sequence["Checkpoint"]) -> str:
    """Give the page on the zoo: a table for each extractor."""
    parts = [_INTRODUCTION]
    for extractor in dict.fromkeys(one.extractor for one in checkpoints):
        parts.append(f"## {extractor}\n\n| key | arguments | preprocessing | hash | sources | licence | published results |")
        parts[-1] += "\n|---|---|---|---|---|---|---|"
        for one in checkpoints:
            if one.extractor == extractor:
                parts[-1] += "\n| " + " | ".join(_list_cells(one)) + " |"
    return "\n\n".join(parts) + "\n"


def _list_cells(one: "Checkpoint") -> list[str]:
    arguments = ", ".join(f"{name}={value!r}" for name, value in one.init_args.items())
    transform = "-" if one.transform is None else f"`{one.transform[0]}({_show(one.transform[1])})`"
    sources = ", ".join(f"[{n}]({source})" if "://" in source else f"Google Drive `{source}`" for n, source in enumerate(one.sources, 1))
    metrics = ", ".join(f"{name} {value:g}" for name, value in one.metrics.items())
    return [f"`{one.key}`", f"`{arguments}`", transform, f"`{one.hash}`", sources, one.licence or "", metrics]


def _show(arguments: dict[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
