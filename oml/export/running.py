"""Exported files as extractors, so that all of OML works with them: inference, metrics, search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from oml.errors import InvalidInputError, check
from oml.interfaces.models import IExtractor

_INSTALL = "ONNX needs onnxruntime: pip install open-metric-learning[export]"
_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(int64)": torch.int64,
    "tensor(uint8)": torch.uint8,
}


class OnnxExtractor(IExtractor):
    """
    Gives the embeddings (B, D) that an exported ONNX file gives, run by onnxruntime on the CPU.

    Args:
        path: The file that `export_bundle` has written.
        n_threads: Threads of onnxruntime; 0 lets it choose.

    Raises:
        ImportError: onnxruntime is not installed.
        FileNotFoundError: there is no such file.
        InvalidInputError: the file cannot be run, or gives no output `features`.

    """

    def __init__(self, path: Path | str, n_threads: int = 0):
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(_INSTALL) from error
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no file {path}. Write it with `oml export`.")
        self.path = str(path)
        self.n_threads = n_threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.log_severity_level = 3  # errors only: it warns about each constant that it folds
        try:
            self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except _get_errors() as error:
            raise InvalidInputError(f"onnxruntime cannot run {path}: {error}. Export it again.") from error
        names = [output.name for output in self.session.get_outputs()]
        check("features" in names, f"{path} gives {', '.join(names)}, but no `features`. Export it with `oml export`.")

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return int(self.session.get_outputs()[0].shape[-1])

    def forward(self, x: Any) -> Tensor:
        """Give the embeddings (B, D), float32, of a batch as the graph takes it: a tensor, or tensors by name."""
        inputs = self.session.get_inputs()
        values = x if isinstance(x, Mapping) else {inputs[0].name: x}
        feeds = {i.name: values[i.name].to(_DTYPES[i.type]).cpu().numpy() for i in inputs}
        (features,) = self.session.run(["features"], feeds)
        return torch.from_numpy(features)


def _get_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # the classes of onnxruntime's errors share no base of their own
    return tuple(v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception))


class ProgramExtractor(IExtractor):
    """
    Gives the embeddings (B, D) that a program of torch.export gives.

    Args:
        path: The file that `export_bundle` has written.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidInputError: the file cannot be loaded.

    """

    def __init__(self, path: Path | str):
        super().__init__()
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no file {path}. Write it with `oml export --to torch`.")
        self.path = str(path)
        try:
            self.program: Any = torch.export.load(self.path)
        except (RuntimeError, ValueError, BadZipFile) as error:
            raise InvalidInputError(f"torch cannot load {path}: {error}. Export it again.") from error
        self.module: Any = self.program.module()

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        (features,) = next(reversed(self.program.graph.nodes)).args[0]
        return int(features.meta["val"].shape[-1])

    def forward(self, x: Any) -> Tensor:
        """Give the embeddings (B, D), float32, of a batch as the graph takes it: a tensor, or tensors by name."""
        values = (x["input_ids"], x["attention_mask"]) if isinstance(x, Mapping) else (x,)
        features: Tensor = self.module(*values)
        return features

    def train(self, mode: bool = True) -> ProgramExtractor:
        """Stay as exported, in evaluation mode: programs have no other one."""
        self.training = False
        return self
