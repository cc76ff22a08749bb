"""Weights and images by the rule of the fixtures: what is recorded there was calculated with exactly these numbers."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.reference import mel

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "checkpoints"


def read_fixture(name: str) -> dict[str, Any]:
    path = FIXTURES / f"{name}.json"
    assert path.is_file(), f"The recorded answers of the original network are missing: expected {path}."
    return json.loads(path.read_text())


def make_state_dict(fixture: dict[str, Any]) -> dict[str, Tensor]:
    """Give the weights by the rule; the buffers that the original calculates are calculated from their definitions."""
    state_dict = {name: make_tensor(name, shape, dtype) for name, shape, dtype in fixture["parameters"]}
    computed = make_buffers_of_ecapa() if fixture.get("computed_buffers_kept") else {}
    assert set(computed) == set(fixture.get("computed_buffers_kept", ()))
    assert all(computed[name].shape == state_dict[name].shape for name in computed)
    return {**state_dict, **computed}


def make_buffers_of_ecapa() -> dict[str, Tensor]:
    """Give the filter of the pre-emphasis, Hamming's window (periodic) and the mel filters."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    filters = mel.filters(n_fft=512, n_mels=80, sample_rate=16000, f_min=20, f_max=7600)
    return {
        "torchfbank.0.flipped_filter": torch.tensor([[[-0.97, 1.0]]]),
        "torchfbank.1.spectrogram.window": torch.from_numpy(window.astype(np.float32)),
        "torchfbank.1.mel_scale.fb": torch.tensor(filters),
    }


def make_tensor(name: str, shape: list[int], dtype: str) -> Tensor:
    if "int" in dtype:
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    last = name.split(".")[-1]
    if last in ("weight", "in_proj_weight", "proj") and len(shape) >= 2:
        return torch.from_numpy(noise / np.float32(np.sqrt(np.prod(shape[1:]))))
    values = noise * np.float32(0.1)
    if last == "running_var":
        values = np.abs(values) + np.float32(1)
    elif (last == "weight" and len(shape) == 1) or name.endswith("gamma"):
        values = values + np.float32(1)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def make_input(fixture: dict[str, Any], size: int) -> Tensor:
    """Give two images of the side, or two sounds of as many samples."""
    if fixture["extractor"] == "ECAPATDNNExtractor":
        return torch.from_numpy((np.random.RandomState(0).standard_normal((2, size)) * 0.1).astype(np.float32))
    return make_images(size)


def make_images(size: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).standard_normal((2, 3, size, size)).astype(np.float32))
