from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


def draw(seed: int, side: int = 64) -> Image.Image:
    """A smooth random picture, as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures 0.png to 7.png, all different."""
    for i in range(8):
        draw(i).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 2, 2, 3, 3],
            "split": ["train"] * 4 + ["validation"] * 4,
            "is_query": [None] * 4 + [True] * 4,
            "is_gallery": [None] * 4 + [True] * 4,
            "path": [f"{i}.png" for i in range(8)],
        }
    )
