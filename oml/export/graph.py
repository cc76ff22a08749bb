"""From a bundle to a file with the whole calculation: ONNX, or a program of torch.export."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oml.bundles import Bundle
from oml.bundles.preprocessing import AUDIO, IMAGE, TEXT, make_example, make_picture, to_batch
from oml.errors import InvalidInputError, check
from oml.export.inputs import (
    BYTES,
    TRANSFORMED,
    UNIT,
    Normalise,
    Pixels,
    Unit,
    find_statistics,
    make_preprocessing,
    refuse,
)

FORMATS, PRECISIONS = ("onnx", "torch"), ("fp32", "fp16", "int8")
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
OPSET = 20
_MAX_BYTES = 2**31 - 2**24  # of one ONNX file, with room for the graph
_INSTALL = "Export to ONNX needs: pip install open-metric-learning[export]"
_NAMES = {IMAGE: ["images"], AUDIO: ["waveforms"], TEXT: ["input_ids", "attention_mask"]}


class Graph(nn.Module):
    """
    What is exported: preprocessing, extractor, embeddings in float32.

    Args:
        extractor: In the precision it is to calculate in.
        preprocessing: What comes before it, in float32.

    """

    def __init__(self, extractor: nn.Module, preprocessing: nn.Module):
        super().__init__()
        self.preprocessing = preprocessing
        self.extractor = extractor
        self.dtype = next(p.dtype for p in extractor.parameters())

    def forward(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Give the embeddings (B, D) of pictures, waveforms, or tokens and their mask."""
        if mask is not None:
            features: Tensor = self.extractor({"input_ids": first, "attention_mask": mask})
        else:
            features = self.extractor(self.preprocessing(first).to(self.dtype))
        return features.float()


class Plan:
    """
    What of a bundle goes into the graph, and what a data set has to give to it.

    Args:
        bundle: The extractor, the transform and the card.
        with_preprocessing: Whether the graph takes the bytes of pictures of any size.

    Raises:
        InvalidInputError: the preprocessing cannot be put into the graph.

    """

    def __init__(self, bundle: Bundle, with_preprocessing: bool):
        extractor, transform, card = bundle
        self.modality = card.modality
        self.batch_size = 1 if with_preprocessing else 32  # pictures of different sizes
        self.transform: Any = transform
        self.preprocessing: nn.Module = nn.Identity()
        self.takes = TRANSFORMED
        statistics = find_statistics(transform) if self.modality == IMAGE else None
        if with_preprocessing:
            if self.modality != IMAGE:
                raise refuse(self.modality)
            self.preprocessing, self.transform, self.takes = make_preprocessing(transform), Pixels(transform), BYTES
        elif statistics is not None:
            self.preprocessing, self.transform, self.takes = Normalise(statistics), Unit(transform, statistics), UNIT
        item = (
            make_picture(90, 121) if self.takes == BYTES else make_example(self.modality, extractor, card.dataset_args)
        )
        self.batch = to_batch(self.transform, self.modality, item, card.dataset_args)

    def get_inputs(self) -> tuple[Tensor, ...]:
        """Give an example of what the graph takes, a batch of two."""
        names = _NAMES[self.modality]
        values = [self.batch[name] for name in names] if isinstance(self.batch, Mapping) else [self.batch]
        return tuple(torch.cat([value, value]) for value in values)

    def get_dynamic_shapes(self) -> tuple[dict[int, Any], ...]:
        """Give which dimensions may be of any size."""
        batch = torch.export.Dim("batch")
        if self.takes == BYTES:
            free = {2: torch.export.Dim("height", min=2, max=2**14), 3: torch.export.Dim("width", min=2, max=2**14)}
            return ({0: batch, **free},)
        if self.modality == TEXT:
            length = torch.export.Dim("length", min=2, max=self.batch["input_ids"].shape[1])
            return ({0: batch, 1: length},) * 2
        return ({0: batch},)


def write_graph(bundle: Bundle, plan: Plan, path: Path, to: str, precision: str) -> None:
    """
    Write the graph to a file.

    Raises:
        ImportError: a library for ONNX is missing.
        InvalidInputError: the extractor cannot be exported, or is too large for one file.

    """
    check(not (to == "torch" and precision == "int8"), "int8 is for ONNX only. Use --fp16, or --to onnx --int8.")
    extractor = copy.deepcopy(bundle.extractor).half() if precision == "fp16" else bundle.extractor
    graph = Graph(extractor, plan.preprocessing).eval()
    try:
        with torch.no_grad(), warnings.catch_warnings(), _quiet():
            warnings.filterwarnings("ignore", "# The axis name")  # two inputs with the same free dimensions
            if to == "torch":
                program = torch.export.export(graph, plan.get_inputs(), dynamic_shapes=plan.get_dynamic_shapes())
                warnings.filterwarnings(
                    "ignore", "No complete tensor found in the group"
                )  # of views; all are on the CPU
                buffer = BytesIO()  # since torch ends the process where a file cannot be written to
                torch.export.save(program, buffer)
                path.write_bytes(buffer.getbuffer())
                return
            _write_onnx(graph, plan, path)
    except (torch.onnx.errors.OnnxExporterError, torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
        raise InvalidInputError(
            f"{type(extractor).__name__} cannot be exported to {to}: {_first_lines(error)} Its forward must not depend "
            "on values of tensors."
        ) from error
    if precision == "int8":
        _quantise(path)


def _write_onnx(graph: Graph, plan: Plan, path: Path) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    n_bytes = sum(p.numel() * p.element_size() for p in graph.parameters())
    check(
        n_bytes < _MAX_BYTES, f"The weights take {n_bytes} bytes, over 2 GB of an ONNX file. Use --fp16, or --to torch."
    )
    program: Any = torch.onnx.export(
        graph,
        plan.get_inputs(),
        dynamo=True,
        dynamic_shapes=plan.get_dynamic_shapes(),
        input_names=_NAMES[plan.modality],
        output_names=["features"],
        opset_version=OPSET,
        verbose=False,
    )
    program.model.metadata_props["oml"] = json.dumps({"modality": plan.modality, "takes": plan.takes})
    program.save(str(path), external_data=False)


def _quantise(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(path, path, weight_type=QuantType.QUInt8, per_channel=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' reports of their progress off the log."""
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_lines(error: Exception) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split())[:500]
