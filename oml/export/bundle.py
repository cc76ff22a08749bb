"""Export of a bundle with the proof that it works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oml.bundles import Bundle
from oml.bundles.data import make_dataset
from oml.errors import check, unknown_name_message
from oml.export.graph import ENDINGS, FORMATS, PRECISIONS, Plan, write_graph
from oml.export.parity import METRICS, MIN_COSINE, Parity, ParityError, calc_parity
from oml.export.running import OnnxExtractor, ProgramExtractor
from oml.inference import inference
from oml.utils.io import atomic_path

if TYPE_CHECKING:
    import pandas as pd


def export_bundle(
    bundle: Bundle,
    out: Path | str,
    df: pd.DataFrame,
    dataset_root: Path | str = "",
    to: str = "onnx",
    precision: str = "fp32",
    with_preprocessing: bool = False,
    min_cosine: float | None = None,
    max_drop: float = 0.01,
    metrics: Sequence[str] = METRICS,
) -> Parity:
    """
    Write a bundle's extractor as one file that runs without OML, and prove on a data set that it does the same.

    The file takes a batch of any size and gives `features` (B, D), float32. Its input is: `images`, float32 of 0..1, of
    the size that the transform gives, normalised in the graph (as the transform gives them, where it does not end with
    Normalize); with preprocessing, `images` of uint8 (B, C, H, W) of any size, resized and cropped in the graph as
    well; `waveforms`; or `input_ids` and `attention_mask`. The metadata `oml` of an ONNX file says which.

    The file is written to a temporary place, run there over the data set, and put in place only if it passes.

    Args:
        bundle: What `load_bundle` gives; it is not changed.
        out: The file: .onnx, or .pt2 for torch.
        df: A table in the documented format with labels, queries and galleries.
        dataset_root: The folder that relative paths start at.
        to: `onnx`, or `torch` for a program of torch.export.
        precision: `fp32`; `fp16`: the extractor calculates in float16; `int8`: weights of products have 8 bits, ranges
            of what they are multiplied with are found at run time (ONNX only).
        with_preprocessing: Whether pictures are resized and cropped inside the graph.
        min_cosine: The smallest cosine of an item that is accepted; by default what the precision promises.
        max_drop: By how much each metric may fall.
        metrics: Names of metrics to compare.

    Raises:
        ParityError: the file departs too far from the extractor; nothing is left of it.
        InvalidInputError: an unknown option; the extractor or the transform cannot be exported.
        ImportError: a library for ONNX is missing.

    """
    check(to in FORMATS, unknown_name_message("format of export", to, FORMATS))
    check(precision in PRECISIONS, unknown_name_message("precision", precision, PRECISIONS))
    ending = Path(out).suffix
    check(ending == ENDINGS[to], f"The file for {to} must end with {ENDINGS[to]}, got {str(out)!r}.")
    plan = Plan(bundle, with_preprocessing)
    with atomic_path(out) as path:
        write_graph(bundle, plan, path, to, precision)
        exported = OnnxExtractor(path) if to == "onnx" else ProgramExtractor(path)
        dataset = make_dataset(bundle.card, bundle.transform, df, dataset_root)
        expected = inference(bundle.extractor, dataset, batch_size=32)
        inputs = make_dataset(bundle.card, plan.transform, df, dataset_root)
        found = inference(exported, inputs, batch_size=plan.batch_size)
        parity = calc_parity(expected, found, dataset, metrics)
        faults = parity.find_faults(MIN_COSINE[precision] if min_cosine is None else min_cosine, max_drop)
        if faults:
            raise ParityError(
                f"The exported file was thrown away, since it departs too far from the extractor: {'; '.join(faults)}. "
                f"Use a higher precision, or accept it with --min-cosine and --max-drop.\n{parity.describe()}"
            )
    return parity
