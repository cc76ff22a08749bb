import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from oml import datasets
from oml.datasets.audios import (
    AudioBaseDataset,
    AudioLabeledDataset,
    AudioQueryGalleryDataset,
    AudioQueryGalleryLabeledDataset,
    parse_start_times,
)
from oml.errors import InvalidInputError
from oml.interfaces.datasets import IHTMLVisualizableDataset, IVisualizableDataset
from tests.reference.audios import read_window

RATE = 8000
SECONDS = [0.5, 1.5, 2.0, 0.25, 1.0, 3.0]
OPTIONS = {"sample_rate": RATE, "max_num_seconds": 1.0}
FLAGS = {"is_query": [None] * 4 + [True] * 2, "is_gallery": [None] * 4 + [True] * 2}
TABLES = [AudioLabeledDataset, AudioQueryGalleryDataset, AudioQueryGalleryLabeledDataset]


@pytest.fixture(scope="module")
def audios_root(tmp_path_factory):
    """Sounds of the lengths `SECONDS`, in two channels, some at another rate."""
    folder = tmp_path_factory.mktemp("audios")
    for i, seconds in enumerate(SECONDS):
        rate = RATE * (1 + i % 2)
        samples = np.random.default_rng(i).uniform(-0.5, 0.5, (int(seconds * rate), 2))
        soundfile.write(folder / f"{i}.wav", samples, rate)
    return folder


@pytest.fixture
def df():
    return pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 7, 7],
            "path": [f"{i}.wav" for i in range(6)],
            "is_query": [True, False, True, True, False, True],
            "is_gallery": [True, True, False, True, True, True],
            "start_time": [0.25, 0.5, np.nan, 0.0, 0.5, 1.25],
            "category": list("aabbcc"),
        },
        index=range(10, 16),
    )


def test_names_of_the_package():
    for table in [AudioBaseDataset, *TABLES]:
        assert getattr(datasets, table.__name__) is table


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("table", TABLES)
def test_items_are_windows_of_the_files(audios_root, df, table, mono):
    before = df.copy()
    dataset = table(df, audios_root, convert_to_mono=mono, **OPTIONS)
    for i, start_time in enumerate([0.25, 0.5, 0.0, 0.0, 0.5, 1.25]):
        item = dataset[i]
        expected = read_window(audios_root / f"{i}.wav", RATE, mono, start_time, 1.0)
        assert expected.shape == (1 if mono else 2, RATE)
        np.testing.assert_allclose(item["input_tensors"].numpy(), expected, atol=1e-5)
        assert item["idx"] == i
        assert item["category"] == "aabbcc"[i]
    pd.testing.assert_frame_equal(df, before)


def test_views(audios_root, df):
    train, prediction, val = (table(df, audios_root, **OPTIONS) for table in TABLES)
    assert train[4]["labels"] == val[4]["labels"] == 7
    assert "labels" not in prediction[4]
    assert train.get_labels().tolist() == df["label"].tolist()
    assert train.get_label2category() == {0: "a", 1: "b", 7: "c"}
    for dataset in (prediction, val):
        assert dataset.get_query_ids().tolist() == [0, 2, 3, 5]
        assert dataset.get_gallery_ids().tolist() == [0, 1, 3, 4, 5]


def test_batches_of_loader_processes(audios_root, df):
    val = AudioQueryGalleryLabeledDataset(
        df, audios_root, {"n": np.arange(6)}, "x", "i", "y", **OPTIONS, convert_to_mono=False
    )
    batches = list(DataLoader(val, batch_size=4, num_workers=1))
    assert [batch["x"].shape for batch in batches] == [(4, 2, RATE), (2, 2, RATE)]
    assert set(batches[0]) == {"x", "i", "y", "n", "category"}
    assert torch.equal(batches[1]["x"][1], val[5]["x"])


def test_paths_of_any_kind(audios_root):
    names = [f"{i}.wav" for i in range(6)]
    for paths in (tuple(names), np.array(names), [audios_root / name for name in names], pd.Series(names)[::-1]):
        dataset = AudioBaseDataset(paths, audios_root)
        assert dataset.get_path(-1) == audios_root / str(list(paths)[-1])
    assert len(AudioBaseDataset([])) == 0


def test_whole_sounds(audios_root, df):
    with pytest.warns(UserWarning, match="neither cut nor padded and start times do not count.*`collate_fn`") as caught:
        dataset = AudioLabeledDataset(df, audios_root, sample_rate=RATE, max_num_seconds=None)
    assert len(caught) == 1
    assert [dataset[i]["input_tensors"].shape for i in range(6)] == [(1, int(RATE * seconds)) for seconds in SECONDS]


def test_start_times_are_read():
    assert parse_start_times(pd.DataFrame({"path": ["a.wav"]})) is None
    for dtype in ("float64", "float32", "Float64"):
        assert parse_start_times(pd.DataFrame({"start_time": pd.Series([1.5, None], dtype=dtype)})) == [1.5, 0.0]
    with pytest.raises(AssertionError, match=r"seconds of a float dtype, its dtype is int64.*astype\(float\)"):
        parse_start_times(pd.DataFrame({"start_time": [1, 2]}))
    with pytest.raises(InvalidInputError, match=r"from 0 on, 2 rows break this; the first: -1\.0 in row 1, inf in row"):
        parse_start_times(pd.DataFrame({"start_time": [0.0, -1.0, np.inf]}))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"start_times": [0.0]}, "There are 2 `paths`, but 1 `start_times`"),
        ({"start_times": ["a", 0.0]}, "Start times must be numbers of seconds: could not convert"),
        ({"sample_rate": 0}, "`sample_rate` must be a positive whole number of hertz, got 0"),
        ({"sample_rate": 16000.5}, "`sample_rate` must be a positive whole number of hertz, got 16000.5"),
        ({"max_num_seconds": 0}, "`max_num_seconds` must be positive .*, got 0"),
        ({"max_num_seconds": -1.5}, "`max_num_seconds` must be positive .*, got -1.5"),
        ({"max_num_seconds": 1e-9}, "`max_num_seconds` must be positive .*, got 1e-09"),
        ({"convert_to_mono": "yes"}, "`convert_to_mono` must be True or False, got 'yes'"),
        ({"input_tensors_key": "idx"}, "`input_tensors_key` and `index_key` are both 'idx'"),
        ({"extra_data": {"idx": [1, 2]}}, "has the key 'idx', but items have it already"),
    ],
)
def test_bad_arguments(options, text):
    for error in (AssertionError, ValueError):
        with pytest.raises(error, match=text):
            AudioBaseDataset(["a.wav", "b.flac"], **options)


def test_unknown_extensions():
    with pytest.raises(
        AssertionError,
        match=r"must end in \.mp3, \.wav, \.ogg, \.flac, 2 paths do not: 'b\.txt' in row 1, 'wav' in",
    ):
        AudioBaseDataset(["a.WAV", "b.txt", "wav", "c.x.mp3"])
    with pytest.raises(InvalidInputError, match=r"lacks the columns path"):
        AudioLabeledDataset(pd.DataFrame({"label": [1]}))


def test_bad_files_are_named(audios_root, tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + b"\0" * 100)
    (tmp_path / "named.mp3").write_bytes((audios_root / "0.wav").read_bytes())
    paths = [tmp_path / "none.wav", tmp_path / "broken.flac", tmp_path / "named.mp3", audios_root / "0.wav"]
    dataset = AudioBaseDataset(paths, start_times=[0, 0, 0, 0.75], **OPTIONS)
    with pytest.raises(FileNotFoundError, match=r"Item 0: there is no file .*none\.wav\. Check `dataset_root`"):
        dataset[0]
    with pytest.raises(OSError, match=r"Item 1: the file .*broken\.flac cannot be read as audio: its content is no s"):
        dataset[1]
    with pytest.raises(OSError, match=r"Item 2: the file .*named\.mp3 cannot .*content is WAV: rename it to \.wav"):
        dataset.visualize(2)
    with pytest.raises(
        ValueError,
        match=r"Item 3, .*0\.wav: The frame offset 6000 is greater than the audio length 4000\. The `start_time` of",
    ):
        dataset[3]
    with pytest.raises(IndexError, match="Item 4 does not exist"):
        dataset[4]


@pytest.mark.parametrize(
    ("length", "offset", "expected"),
    [
        (8, 3, [3, 4, 5, 6]),
        (8, 6, [0, 0, 6, 7]),
        (4, 3, [0, 1, 2, 3]),
        (2, 1, [0, 0, 0, 1]),
        (8, 8, [0, 0, 0, 0]),
        (0, 0, [0, 0, 0, 0]),
    ],
)
def test_trim_or_pad(length, offset, expected):
    audio = torch.arange(2.0 * length).view(2, length)
    answer = AudioBaseDataset._trim_or_pad(audio, offset, 4)
    assert answer[0].tolist() == expected
    assert answer.shape == (2, 4)


def test_trim_behind_the_end():
    with pytest.raises(ValueError, match=r"^The frame offset 5 is greater than the audio length 4\.$"):
        AudioBaseDataset._trim_or_pad(torch.zeros(1, 4), frame_offset=5, num_frames=2)


@pytest.mark.parametrize("table", TABLES)
def test_drawing_uses_the_given_spectrogram(audios_root, df, table):
    seen = []

    def spectrogram(audio):
        seen.append(audio)
        return audio.view(80, -1)

    dataset = table(df, audios_root, spec_repr_func=spectrogram, **OPTIONS)
    assert isinstance(dataset, IVisualizableDataset)
    assert isinstance(dataset, IHTMLVisualizableDataset)
    picture = dataset.visualize(1, (255, 0, 0))
    assert (picture[0] == (255, 0, 0)).all()
    assert torch.equal(seen[0], dataset[1]["input_tensors"])
    html = dataset.visualize_as_html(1, "query <1>", (255, 0, 0))
    assert "query &lt;1&gt;" in html
    assert "<audio controls" in html


def test_default_drawing(audios_root):
    dataset = AudioBaseDataset([audios_root / "0.wav"])
    assert dataset.visualize(0).shape == (256, 256, 3)
    assert (dataset.visualize(0)[0] == 0).all()


def test_tables_of_any_kind(audios_root, df):
    df = df.assign(split=["train"] * 4 + ["validation"] * 2, label=list("aabbcc"))
    train, val = datasets.get_retrieval_datasets("audios", df.assign(**FLAGS), audios_root, train=OPTIONS, val=OPTIONS)
    assert (len(train), len(val)) == (4, 2)
    assert train[1]["input_tensors"].shape == (1, RATE)
    assert isinstance(val, AudioQueryGalleryLabeledDataset)


def test_labels_of_any_kind(audios_root, df, any_labels):
    """Names, tuples, lists of several labels: as for pictures."""
    labels, names, expected = any_labels
    df = df.drop(columns="category").assign(split=["train"] * 4 + ["validation"] * 2, label=labels, **FLAGS)
    train, val = datasets.get_retrieval_datasets("audios", df, audios_root, **OPTIONS)
    alone = AudioLabeledDataset(df, audios_root, **OPTIONS, label_mapping=val.label_mapping)
    assert train.label_mapping.names == names
    for dataset, values in ((train, expected[:4]), (val, expected[4:]), (alone, expected)):
        assert dataset.get_labels().tolist() == values
        batch = next(iter(DataLoader(dataset, batch_size=len(dataset))))
        assert batch["labels"].tolist() == values
        assert batch["input_tensors"].shape == (len(values), 1, RATE)


def test_missing_labels(audios_root, df):
    with pytest.raises(InvalidInputError, match="'label' must not be empty, 1 rows are, at the positions 2"):
        AudioLabeledDataset(df.assign(label=["a", "a", None, "b", "b", "b"]), audios_root)
