"""What every results file of a benchmark says beside its numbers: the machine, the versions, the commit."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS_PATH = Path(__file__).parent / "results"
PACKAGES = ("torch", "torchvision", "numpy", "timm", "pytorch-metric-learning", "faiss-cpu", "open-metric-learning")


def write_results(name: str, results: dict[str, Any]) -> Path:
    """
    Write `benchmarks/results/<name>.json` with the results, the machine, the versions and the commit; give its path.

    There is no date in it, so that running again without a change of numbers gives no change of the file.
    """
    RESULTS_PATH.mkdir(parents=True, exist_ok=True)
    path = RESULTS_PATH / f"{name}.json"
    report = {"machine": get_machine(), "versions": get_versions(), "commit": get_commit(), "results": results}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    temporary.replace(path)
    return path


def get_machine() -> dict[str, Any]:
    """Give the processor, the number of cores that this process may use, the memory, and the accelerator if any."""
    import torch

    machine: dict[str, Any] = {
        "cpu": _read_cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        machine["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def get_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that benchmarks compare, where they are installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def get_commit() -> str:
    """Give the commit of the checkout, with `+changes` if code under `oml` or `benchmarks` differs from it."""
    root = Path(__file__).parent.parent

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", "oml", "benchmarks/*.py")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"


def _read_cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
