import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from matplotlib.figure import Figure
from PIL import Image

from oml.const import BLACK, BLUE, GRAY, GREEN, RED
from oml.datasets import (
    AudioQueryGalleryLabeledDataset,
    ImageQueryGalleryLabeledDataset,
    TextQueryGalleryLabeledDataset,
)
from oml.errors import InvalidInputError
from oml.retrieval import RetrievalResults
from oml.utils.mock_audios import write_wav
from tests.retrieval.datasets import Items, LabelledSplit, PicturedLabelled, PicturedSplit


@pytest.fixture
def dataset():
    return PicturedSplit([0, 1, 0, 1, 0], query_ids=[0, 1], gallery_ids=[2, 3, 4])


@pytest.fixture
def rr(dataset):
    return RetrievalResults.from_embeddings(torch.tensor([[0.0], [1.0], [0.1], [5.0], [7.0]]), dataset)


def get_titles(figure):
    return [ax.get_title() for ax in figure.axes]


def test_one_dataset(rr, dataset):
    figure = rr.visualize([0, 1], dataset, n_galleries_to_show=2, n_gt_to_show=1)
    assert isinstance(figure, Figure)
    assert get_titles(figure) == [
        "Query 0",
        "0 - 0.100",
        "1 - 5.000",
        "GT 0",
        "Query 1",
        "0 - 0.900",
        "1 - 4.000",
        "GT 1",
    ]
    assert dataset.drawn == [(0, BLUE), (2, GREEN), (3, RED), (2, GRAY), (1, BLUE), (2, RED), (3, GREEN), (3, GRAY)]


def test_two_datasets():
    queries, galleries = PicturedLabelled([0]), PicturedLabelled([1, 0])
    rr = RetrievalResults.from_embeddings_qg(torch.zeros(1, 1), torch.ones(2, 1), queries, galleries)
    rr.visualize_qg([0], queries, galleries)
    assert queries.drawn == [(0, BLUE)]
    assert galleries.drawn == [(0, RED), (1, GREEN), (1, GRAY)]


def test_without_ground_truth_and_with_few_answers():
    drawn = []

    def draw(number, color):
        drawn.append((number, color))
        return np.zeros((3, 3, 3), dtype=np.uint8)

    rr = RetrievalResults([torch.tensor([1.0]), torch.tensor([])], [torch.tensor([4]), torch.tensor([])])
    figure = rr.visualize_with_functions([0, 1], draw, draw)
    assert drawn == [(0, BLUE), (4, BLACK), (1, BLUE)]
    assert get_titles(figure) == ["Query 0", "4 - 1.000", "Query 1"]


def test_relevant_galleries_stand_in_the_same_column():
    rr = RetrievalResults(
        [torch.tensor([1.0, 2.0]), torch.tensor([1.0])],
        [torch.tensor([0, 1]), torch.tensor([2])],
        [torch.tensor([0]), torch.tensor([0])],
    )
    draw = lambda number, color: np.zeros((3, 3, 3), dtype=np.uint8)  # noqa: E731
    figure = rr.visualize_with_functions([0, 1], draw, draw)
    columns = {ax.get_position().x0 for ax in figure.axes if ax.get_title().startswith("GT")}
    assert len(columns) == 1


def test_html(rr, dataset):
    html = rr.visualize_as_html([1], dataset, n_galleries_to_show=1, n_gt_to_show=1)
    for block in (
        "<p style='color: rgb(0, 0, 255)'>Query 1 = item 1</p>",
        "<p style='color: rgb(255, 0, 0)'>0 - 0.900 = item 2</p>",
        "<p style='color: rgb(120, 120, 120)'>GT 1 = item 3</p>",
    ):
        assert html.count(block) == 1
    with pytest.raises(AssertionError, match="must show its items as HTML"):
        rr.visualize_as_html([1], LabelledSplit([0, 1], [0, 1], [0, 1]))


def make_texts(tmp_path):
    def tokenize(text, **_):
        return {"input_ids": torch.zeros(4), "attention_mask": torch.zeros(4)}

    df = pd.DataFrame({"text": ["<one>", "two", "three"], "label": [0, 0, 1], "is_query": [True, True, False]})
    with pytest.warns(UserWarning, match="is not a tokenizer of transformers"):
        return TextQueryGalleryLabeledDataset(df.assign(is_gallery=True), tokenize)


def make_images(tmp_path):
    for i in range(3):
        Image.new("RGB", (40, 40), "white").save(tmp_path / f"{i}.png")
    df = pd.DataFrame({"path": ["0.png", "1.png", "2.png"], "label": [0, 0, 1], "is_query": [True, True, False]})
    boxes = {"x_1": 10.0, "y_1": 10.0, "x_2": 30.0, "y_2": 30.0}
    return ImageQueryGalleryLabeledDataset(df.assign(is_gallery=True, **boxes), dataset_root=tmp_path)


def find_frame_colour(block):
    """Give the colour of the frame in a block of HTML: of the style of a text, or of the pixels at a picture's box."""
    if style := re.search(r"solid rgb\((\d+), (\d+), (\d+)\)", block):
        return tuple(map(int, style.groups()))
    picture = Image.open(BytesIO(b64decode(re.search(r'base64,([^"]+)"', block)[1])))
    assert min(picture.getpixel((5, 5))) > 250  # white outside of the box
    pixel = np.array(picture.getpixel((11, 20)))
    return next((colour for colour in (BLACK, BLUE, GRAY, GREEN, RED) if abs(pixel - colour).max() < 30), None)


@pytest.mark.parametrize("make", [make_texts, make_images])
@pytest.mark.parametrize("is_known", [True, False])
def test_html_of_real_datasets(tmp_path, make, is_known):
    dataset = make(tmp_path)
    gts = [torch.tensor([1]), torch.tensor([0])] if is_known else None
    rr = RetrievalResults([torch.tensor([0.5, 1.0]), torch.tensor([])], [torch.tensor([2, 1]), torch.tensor([])], gts)
    html = rr.visualize_as_html([0, 1], dataset, n_galleries_to_show=2, n_gt_to_show=1)
    rows = [row.split("<td>")[1:] for row in html.split("<tr>")[1:]]
    titles = [[re.search(r"<p[^>]*>(.*?)</p>", block)[1] if "<p" in block else None for block in row] for row in rows]
    colours = [[find_frame_colour(block) if "<p" in block else None for block in row] for row in rows]
    answers = ["2 - 0.500", "1 - 1.000"]
    if is_known:
        assert titles == [["Query 0", *answers, "GT 1"], ["Query 1", None, None, "GT 0"]]
        assert colours == [[BLUE, RED, GREEN, GRAY], [BLUE, None, None, GRAY]]
    else:
        assert titles == [["Query 0", *answers], ["Query 1", None, None]]
        assert colours == [[BLUE, BLACK, BLACK], [BLUE, None, None]]
    assert "<one>" not in html


def test_show_displays(rr, dataset, monkeypatch):
    from matplotlib import pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf().canvas.manager.canvas.figure))
    figure = rr.visualize([0], dataset, show=True)
    assert shown == [figure]
    plt.close()


def test_bad_datasets(rr, dataset):
    with pytest.raises(TypeError, match=r"must be able to draw its items .* got LabelledSplit"):
        rr.visualize([0], LabelledSplit([0, 1], [0, 1], [0, 1]))
    with pytest.raises(TypeError, match=r"must tell queries from galleries .* got PicturedLabelled"):
        rr.visualize([0], PicturedLabelled([0, 1]))
    with pytest.raises(TypeError, match="`dataset_gallery` must be able to draw"):
        rr.visualize_qg([0], PicturedLabelled([0, 1]), Items(3))
    other = PicturedSplit([0, 1, 0], [0], [1, 2])
    for draw in (lambda: rr.visualize([0], other), lambda: rr.visualize_qg([0], PicturedLabelled([0]), other)):
        with pytest.raises(RuntimeError, match="The dataset has 1 queries, the results have 2"):
            draw()


def test_bad_queries(rr, dataset):
    for bad in (-1, 2):
        with pytest.raises(InvalidInputError, match=f"`query_ids` must be from 0 to 1, got {bad}"):
            rr.visualize([0, bad], dataset)
    with pytest.raises(InvalidInputError, match="`n_gt_to_show` must not be negative, got -1"):
        rr.visualize([0], dataset, n_gt_to_show=-1)
    with pytest.raises(InvalidInputError, match="`query_ids` must name at least one query, got none"):
        rr.visualize([], dataset)


def test_sounds_as_figure_and_page(tmp_path):
    for i in range(4):
        write_wav(tmp_path / f"{i}.wav", np.sin(np.arange(4000) * 0.1 * (i + 1)), sample_rate=8000)
    df = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(4)], "label": [0, 0, 1, 1], "is_query": True, "is_gallery": True}
    )
    dataset = AudioQueryGalleryLabeledDataset(df, tmp_path, sample_rate=8000, max_num_seconds=0.5)
    rr = RetrievalResults.from_embeddings(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), dataset)
    assert get_titles(rr.visualize([0], dataset, n_galleries_to_show=2)) == [
        "Query 0",
        "1 - 1.000",
        "2 - 3.000",
        "GT 1",
    ]
    page = rr.visualize_as_html([0, 2], dataset, n_galleries_to_show=2, n_gt_to_show=0)
    players = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    assert len(players) == len(re.findall("data:image/png;base64,", page)) == 6
    samples, rate = soundfile.read(BytesIO(b64decode(players[0])))
    assert rate == 8000
    np.testing.assert_allclose(samples, dataset[0]["input_tensors"][0], atol=1e-4)
    assert "1 - 1.000" in page
