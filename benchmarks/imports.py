"""
What imports cost: `import oml` over bare Python, each part over `import torch`. Run: python benchmarks/imports.py

Each statement runs in a fresh process, both sides in turn; the figure is the median of the differences.
"""

import subprocess
import sys
from statistics import median
from time import perf_counter

from report import write_results

N_ROUNDS = 11
PAIRS = {
    "import oml": ("import oml", "pass"),
    **{
        f"import oml.{part}": (f"import torch, oml.{part}", "import torch")
        for part in ("losses", "miners", "samplers", "functional", "metrics", "retrieval", "inference")
    },
}


def measure(statement: str) -> float:
    """Give the seconds of a process that runs the statement."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - started


def main() -> None:
    results = {}
    for name, (statement, base) in PAIRS.items():
        measure(statement)  # fills the file cache
        rounds = [(measure(statement), measure(base)) for _ in range(N_ROUNDS)]
        results[name] = {
            "seconds_over_base": round(median(ours - bare for ours, bare in rounds), 4),
            "base": base,
            "base_seconds": round(median(bare for _, bare in rounds), 4),
        }
        print(name, results[name])
    print(write_results("imports", results))


if __name__ == "__main__":
    main()
