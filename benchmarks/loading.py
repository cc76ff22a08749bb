"""
Loading a checkpoint of 346 MB (DINOv2, base) into an extractor, beside `torch.load(..., mmap=True, weights_only=True)`.

A mapped file is not read until its weights are used, and a network is more than a dictionary of tensors; so three
things stand beside ours: torch.load alone, torch.load with each weight used once, and a network made and filled by
hand. Ours reads the file; it maps it where torch's own switch says so. Each measurement runs in a process of its own;
libraries are loaded before it starts. Memory is what the process holds at most, beyond what it held before (mapped
pages of the file count once they are used).

    python benchmarks/loading.py
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results
from torch.utils.serialization import config

ARCH = "vitb14"
MAX_TIME, MAX_MEMORY = 1.3, 1.2
SIDES = {
    "ViTExtractor(weights=path)": ".pth",
    "ViTExtractor(weights=path), safetensors": ".safetensors",
    "ViTExtractor(weights=path), weights used once": ".pth",
    "ViTExtractor(weights=path), mapped": ".pth",
    "ViTExtractor(weights=path), mapped, weights used once": ".pth",
    "torch.load, mmap": ".pth",
    "torch.load, mmap, weights used once": ".pth",
    "network filled from torch.load, mmap": ".pth",
}


def load(side: str, path: Path) -> Any:
    from oml.models import ViTExtractor

    if side.startswith("ViTExtractor"):
        with config.patch({"load.mmap": "mapped" in side}):
            loaded = ViTExtractor(path, ARCH)
        state_dict = loaded.state_dict()
    else:
        loaded = state_dict = torch.load(path, mmap=True, weights_only=True)
    if side.startswith("network"):
        loaded = ViTExtractor.constructors[ARCH]()
        loaded.load_state_dict(state_dict)
    if side.endswith("once"):
        for tensor in state_dict.values():
            tensor.sum()
    return loaded


def measure(side: str, path: Path) -> dict[str, float]:
    """Measure one side in this process."""
    from oml.models import ViTExtractor
    from oml.models.checkpoints import read_state_dict

    ViTExtractor(None, "vits16")  # loads the libraries
    small = path.with_name(f"{side[:5]}{path.suffix}")
    small.write_bytes(path.with_name(f"small{path.suffix}").read_bytes())
    read_state_dict(small)
    before = reset_peak_memory()
    start = time.perf_counter()
    loaded = load(side, path)
    seconds = time.perf_counter() - start
    peak = read_peak_memory() - before
    del loaded
    return {"ms": 1e3 * seconds, "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=list(SIDES))
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args.side, args.folder / f"weights{SIDES[args.side]}")))
        return
    from safetensors.torch import save_file

    from oml.models import ViTExtractor

    with tempfile.TemporaryDirectory() as folder:
        weights = ViTExtractor(None, ARCH).model.state_dict()
        for name, content in (("weights", weights), ("small", {"x": torch.ones(3)})):
            torch.save(content, Path(folder) / f"{name}.pth")
            save_file(content, Path(folder) / f"{name}.safetensors")
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(args.rounds):
            for side in SIDES:
                command = [sys.executable, __file__, "--side", side, "--folder", folder]
                found[side].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        size = sum(tensor.nbytes for tensor in weights.values())
    results: dict[str, Any] = {"weights_mb": round(size / 1e6, 1), "asked": {"time": MAX_TIME, "memory": MAX_MEMORY}}
    for side, rounds in found.items():
        ms = statistics.median(one["ms"] for one in rounds)
        memory = statistics.median(one["peak_bytes"] for one in rounds) / size
        results[side] = {"ms": round(ms, 1), "peak_memory_in_weights": round(memory, 3)}
    ours = results["ViTExtractor(weights=path)"]
    mapped = results["ViTExtractor(weights=path), mapped"]
    for side in SIDES:
        if not side.startswith("ViTExtractor"):
            results[f"time of ours over: {side}"] = round(ours["ms"] / results[side]["ms"], 2)
            results[f"time of ours, mapped, over: {side}"] = round(mapped["ms"] / results[side]["ms"], 2)
    print(json.dumps(results, indent=2))
    print(write_results("loading", results))


if __name__ == "__main__":
    main()
