"""`oml validate`: the metrics of a bundle on a table, with intervals."""

import argparse
import json

from oml.cli.bundles import add_bundle_arguments, add_table_argument, load

METRICS = ("cmc@1", "map@5", "map@r")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    add_bundle_arguments(parser)
    add_table_argument(parser)
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), help="names, see docs/metrics.md (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--save", action="store_true", help="write the metrics into the bundle")


def run(arguments: argparse.Namespace) -> int:
    """Embed, search, measure."""
    from oml.bundles.card import encode_metrics, write_table
    from oml.bundles.data import make_dataset, read_validation
    from oml.bundles.folder import update_metrics
    from oml.errors import check
    from oml.inference import inference
    from oml.metrics import evaluate
    from oml.retrieval import RetrievalResults

    is_remote = arguments.bundle.startswith("hf://")
    check(not (arguments.save and is_remote), "--save needs a folder, not hf://...: fetch it with oml.pull_bundle.")
    bundle = load(arguments)
    df = read_validation(arguments.table)
    dataset = make_dataset(bundle.card, bundle.transform, df, arguments.root or arguments.table.parent)
    embeddings = inference(
        bundle.extractor, dataset, batch_size=arguments.batch_size, num_workers=arguments.workers, verbose=True
    )
    rr = RetrievalResults.from_embeddings(embeddings, dataset)
    metrics = evaluate(rr, arguments.metrics, ci=True)
    if arguments.save:
        update_metrics(arguments.bundle, metrics)
    if arguments.json:
        print(json.dumps(encode_metrics(metrics), indent=2))
    else:
        print("\n".join(write_table(metrics)))
    return 0
