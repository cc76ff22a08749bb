"""`oml export`: a bundle as one file that runs without OML, if it passes the comparison with the extractor."""

import argparse
from pathlib import Path

from oml.cli.bundles import add_bundle_argument, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    add_bundle_argument(parser)
    parser.add_argument("--to", choices=("onnx", "torch"), default="onnx", help="format (%(default)s)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--fp16", dest="precision", action="store_const", const="fp16", help="calculate in float16")
    precision.add_argument("--int8", dest="precision", action="store_const", const="int8", help="weights of 8 bits")
    parser.add_argument("--with-preprocessing", action="store_true", help="resize and crop pictures inside the graph")
    parser.add_argument("--data", type=Path, required=True, help="csv file with labels to compare on, see docs/data.md")
    parser.add_argument("--root", type=Path, help="folder that its paths start at (that of the table)")
    parser.add_argument("--out", type=Path, required=True, help="file to write: .onnx, or .pt2 for torch")
    parser.add_argument("--min-cosine", type=float, help="smallest accepted cosine (0.9999, fp16 0.999, int8 0.95)")
    parser.add_argument("--max-drop", type=float, default=0.01, help="accepted fall of a metric (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Export, compare, and keep the file if it passes."""
    from oml.bundles.data import read_validation
    from oml.export import export_bundle

    df = read_validation(arguments.data)
    parity = export_bundle(
        load(arguments),
        arguments.out,
        df,
        arguments.root or arguments.data.parent,
        to=arguments.to,
        precision=arguments.precision or "fp32",
        with_preprocessing=arguments.with_preprocessing,
        min_cosine=arguments.min_cosine,
        max_drop=arguments.max_drop,
    )
    print(parity.describe())
    print(f"{arguments.out} has {arguments.out.stat().st_size / 2**20:.1f} MB.")
    return 0
