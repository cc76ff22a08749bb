"""What a part of the package must not load: each import runs in a fresh process, which then lists its modules."""

import subprocess
import sys

import pytest

HEAVY = {
    "albumentations",
    "cv2",
    "lightning",
    "matplotlib",
    "pandas",
    "pytorch_lightning",
    "requests",
    "timm",
    "torchvision",
    "transformers",
}


def find_heavy(statement: str) -> set[str]:
    """Give the heavy libraries that the statement loads."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {module.split(".")[0] for module in done.stdout.split()} & HEAVY


@pytest.mark.parametrize("part", ["losses", "miners", "samplers", "functional", "metrics", "retrieval", "inference"])
def test_part_is_light(part):
    assert find_heavy(f"import oml.{part}") == set()


def test_a_heavy_import_is_seen():
    assert find_heavy("import pandas.io") == {"pandas"}


def test_the_package_itself_loads_no_library():
    code = "import sys; before = set(sys.modules); import oml; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "oml" in done.stdout.split()
    assert {name.split(".")[0] for name in done.stdout.split()} & {
        "numpy",
        "torch",
        "argparse",
        "pathlib",
    } == set()
