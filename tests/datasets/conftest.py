from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


def make_pixels(i: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def images_root(tmp_path: Path) -> Path:
    """Six pictures, images/0.png to images/5.png, with the pixels of `make_pixels(i)`."""
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.fromarray(make_pixels(i)).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


@pytest.fixture
def df() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 7, 7],
            "path": [f"images/{i}.png" for i in range(6)],
            "split": ["train"] * 6,
            "is_query": [True, False, True, True, False, True],
            "is_gallery": [True, True, False, True, True, True],
        }
    )


@pytest.fixture(params=["names", "tuples", "mixed", "flags", "several"])
def any_labels(request: pytest.FixtureRequest) -> tuple[list, list, list]:
    """Labels of six items, the last two for validation; the distinct ones, and what the items get."""
    if request.param == "several":
        cells = [["a"], ["b", "a"], [], ["b"], ["a"], ["a", "b"]]
        return cells, ["a", "b"], [[name in cell for name in "ab"] for cell in cells]
    one, two = {"names": ("a", "b"), "tuples": ((1, "a"), (2,)), "mixed": (1, "1"), "flags": (True, False)}[
        request.param
    ]
    return [one, two, one, two, two, two], [one, two], [0, 1, 0, 1, 1, 1]
