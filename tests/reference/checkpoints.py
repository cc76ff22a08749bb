"""Weights and images by the rule of the fixtures: what is recorded there was calculated with exactly these numbers."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "checkpoints"


def read_fixture(name: str) -> dict[str, Any]:
    path = FIXTURES / f"{name}.json"
    assert path.is_file(), f"The recorded answers of the original network are missing: expected {path}."
    return json.loads(path.read_text())


def make_state_dict(fixture: dict[str, Any]) -> dict[str, Tensor]:
    return {name: make_tensor(name, shape, dtype) for name, shape, dtype in fixture["parameters"]}


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


def make_images(size: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).standard_normal((2, 3, size, size)).astype(np.float32))
