"""The command `oml`: a table of commands, each of which lives in a module of its own and is loaded when called."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import oml

COMMANDS = {
    "check": "find everything that is wrong or suspect in a table of items and in their files",
    "convert": "write the table of a published data set (CUB, CARS196, SOP, InShop) beside its files",
    "data": "write one of the data sets that come with the product into a folder",
    "export": "write a bundle as an ONNX or torch.export file, if it passes the comparison with the extractor",
    "predict": "write the embeddings of the files of a folder, or of a table",
    "search": "show what of a table is nearest to given files",
    "validate": "measure a bundle on a table, with confidence intervals",
    "zoo": "list the published checkpoints, or download one",
    "demo": "train on letters of five scripts, validate on unseen ones, draw what is found",
}


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line and give its exit status: 0 done, 1 the input is at fault, 2 wrong usage.

    A command `x` is the module `oml.cli.x` with `add_arguments(parser)` and `run(arguments) -> int`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # Threads that spin while they wait halve the speed of training where another process wants a core (measured with
    # two cores and a load of three); read when torch is loaded, so here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = argparse.ArgumentParser(prog="oml", description=oml.__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {oml.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name in argv:  # only this one is loaded: each brings libraries of its own
            import_module(f"oml.cli.{name}").add_arguments(subparser)
    arguments = parser.parse_args(argv)
    try:
        return int(import_module(f"oml.cli.{arguments.command}").run(arguments))
    except (ValueError, OSError, ImportError) as error:  # the last: a library of an extra is missing
        print(f"oml {arguments.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
