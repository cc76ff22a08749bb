import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from oml.const import RED
from oml.utils.html import encode_as_url, make_html_block, visualize_image_as_html, visualize_text_as_html
from oml.utils.misc import html_blocks_to_grid

BAD = "<script>alert('x')</script> & \"co\""


class Reader(HTMLParser):
    """Remembers tags and the text between them; complains about tags that are not closed in order."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read_picture(html: str) -> np.ndarray:
    url = re.search(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert url is not None
    return np.asarray(Image.open(BytesIO(b64decode(url[1]))))


def test_titles_and_texts_are_escaped() -> None:
    assert Reader(make_html_block(BAD, "<b>1</b>")).texts == [BAD, "1"]
    reader = Reader(visualize_text_as_html(BAD + "\n  next", BAD, RED))
    assert reader.tags == ["div", "p", "div"]
    assert reader.texts == [BAD, BAD + "\n  next"]
    assert Reader(visualize_image_as_html(np.zeros((2, 2, 3), dtype=np.uint8), BAD)).tags == ["div", "p", "img"]


def test_the_frame_of_a_text_has_the_colour() -> None:
    assert "border: 5px solid rgb(255, 0, 0)" in visualize_text_as_html("a", "t", RED)
    assert "border: 5px solid rgb(0, 0, 0)" in visualize_text_as_html("a")


@pytest.mark.parametrize(("size", "shown"), [((20, 30), (20, 30)), ((1000, 500), (384, 192)), ((1, 1), (1, 1))])
def test_pictures_are_inside_the_page(size: tuple[int, int], shown: tuple[int, int]) -> None:
    picture = np.full((*size, 3), (200, 30, 90), dtype=np.uint8)
    found = read_picture(f'src="{encode_as_url(picture)}"')
    assert found.shape == (*shown, 3)
    assert np.abs(found.astype(int) - picture[0, 0]).max() <= 4  # a JPEG


def test_grid() -> None:
    assert html_blocks_to_grid([]) == "<table></table>"
    html = html_blocks_to_grid([["a", "b"], ["c"]])
    assert html == "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"
