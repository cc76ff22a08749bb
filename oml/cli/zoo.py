"""`oml zoo`: the published checkpoints, as a table or in JSON, and their download."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oml.models.zoo import Checkpoint

_INTRODUCTION = """# The zoo

<!-- written by `oml zoo --markdown > docs/zoo.md`: change oml/models/zoo.py instead -->

`weights=KEY` of an extractor downloads a checkpoint once into the cache folder, checks its hash and loads it;
`from_pretrained(KEY)` sets the arguments that belong to it, too, and `get_transforms_for_pretrained(KEY)` gives its
preprocessing. `oml zoo` prints this list, `oml zoo --json` all that is known, and `oml zoo download KEY --to FOLDER`
fetches a file for a machine without network: put it into the cache folder there (an error says where), or give its
path as `weights=`. Sources are tried in their order.

Hashes are the beginnings of MD5, or of SHA-256 where it says so. A licence is the one that the authors state; where
none is given, ask them. Results are the authors' own, in percent. Models of timm have their own list:
`TimmExtractor`."""


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
        rows: list[tuple[str, ...]] = [
            ("key", "arguments", "preprocessing", "hash", "sources", "licence", "results"),
            ("---",) * 7,
        ]
        rows += [_list_cells(one) for one in checkpoints if one.extractor == extractor]
        parts.append(f"## {extractor}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(parts) + "\n"


def _list_cells(one: "Checkpoint") -> tuple[str, ...]:
    transform = "" if one.transform is None else f"`{one.transform[0]}({_show(one.transform[1])})`"
    sources = [f"[{i}]({s})" if "://" in s else f"Google Drive `{s}`" for i, s in enumerate(one.sources, start=1)]
    results = ", ".join(f"{name} {value:.1f}" for name, value in one.metrics.items())
    arguments = f"`{_show(one.init_args)}`"
    return f"`{one.key}`", arguments, transform, f"`{one.hash}`", ", ".join(sources), one.licence or "", results


def _show(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
