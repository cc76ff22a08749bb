import numpy as np
import pytest

from oml.const import BLACK, RED
from oml.utils import text_pictures
from oml.utils.misc import visualize_text

TEXTS = ["", "a", "one two three " * 20, "x" * 5000, "many words " * 1000, "line\n" * 100, "стол 桌子", "\t \n"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("draw_bbox", [True, False])
def test_picture(text: str, draw_bbox: bool) -> None:
    image = visualize_text(text, color=RED, draw_bbox=draw_bbox)
    assert image.shape == (256, 256, 3)
    assert image.dtype == np.uint8
    frame = np.ones((256, 256), dtype=bool)
    frame[5:-5, 5:-5] = False
    assert (image[frame] == (RED if draw_bbox else (255, 255, 255))).all()
    inside = image[5:-5, 5:-5]
    assert (inside == 255).all() == (not text.strip())  # letters, and never into the frame
    assert (inside[..., 0] == inside[..., 1]).all()


def test_the_picture_can_be_drawn_on() -> None:
    picture = visualize_text("a", BLACK)
    picture[0, 0] = 1
    assert (picture[0, 0] == 1).all()


def test_different_texts_look_different() -> None:
    pictures = {visualize_text(text).tobytes() for text in ["a", "b", "a b", "a\nb", "ab" * 300, "ab" * 300 + "cd" * 9]}
    assert len(pictures) == 6


@pytest.mark.parametrize("n", [3900, 10**6])
def test_what_does_not_fit_ends_with_an_ellipsis(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts too long for the picture begin, and so look, the same."""
    picture = visualize_text("x" * n)
    assert (picture == visualize_text("x" * 4200)).all()
    monkeypatch.setattr(text_pictures, "ELLIPSIS", "")
    assert (picture != visualize_text("x" * n)).any()
