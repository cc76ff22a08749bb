import json
import wave

import numpy as np
import pandas as pd
import pytest
import torch

import oml
from oml.cli.main import main
from oml.models import ECAPATDNNExtractor
from oml.models.audio.ecapa_tdnn.network import EcapaTdnn
from oml.utils.mock_audios import SAMPLE_RATE, sing, write_wav

N_FRAMES = 3200  # that the extractor hears of a sound: 0.2 s


@pytest.fixture(scope="module")
def choir(tmp_path_factory):
    """A folder with a bundle of sounds, a table of them, and the table with times to begin at."""
    root = tmp_path_factory.mktemp("choir")
    rows = []
    for voice in range(4):
        for number in range(2):
            samples = sing(voice, number)[:8000]
            samples[:4000] *= 0.1  # so that it matters where one begins
            write_wav(root / f"voice{voice}_{number}.wav", samples, SAMPLE_RATE)
            rows.append({"path": f"voice{voice}_{number}.wav", "label": voice, "is_query": True, "is_gallery": True})
    df = pd.DataFrame(rows)
    df.to_csv(root / "df.csv", index=False)
    df.assign(start_time=[0.25, None] * 4).to_csv(root / "starts.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setitem(ECAPATDNNExtractor.constructors, "tiny", lambda: EcapaTdnn(n_channels=16, feat_dim=8))
        torch.manual_seed(0)
        extractor = ECAPATDNNExtractor(None, "tiny", normalise_features=True)
        args = {"max_num_seconds": N_FRAMES / SAMPLE_RATE}
        oml.save_bundle(root / "bundle", extractor, None, modality="audio", dataset_args=args)
        yield root


def embed(choir, df):
    extractor = oml.load_bundle(choir / "bundle").extractor
    sounds = []
    for path, start in zip(df["path"], df.get("start_time", [0] * len(df)), strict=True):
        with wave.open(str(choir / path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / np.float32(2**15)
        begin = 0 if np.isnan(start) else int(start * SAMPLE_RATE)
        sounds.append(torch.from_numpy(samples[begin : begin + N_FRAMES].copy()))
    with torch.no_grad():
        return extractor(torch.stack(sounds)[:, None])


@pytest.mark.parametrize("source", ["df.csv", "starts.csv", ""])
def test_predict(source, choir, tmp_path):
    assert main(["predict", str(choir / "bundle"), str(choir / source), "--out", str(tmp_path / "e.npy")]) == 0
    df = pd.read_csv(choir / (source or "df.csv"))
    assert json.loads((tmp_path / "e.items.json").read_text()) == df["path"].tolist()
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), embed(choir, df).numpy(), atol=1e-5)


def test_search(choir, capsys):
    df = pd.read_csv(choir / "starts.csv")
    galleries, queries = embed(choir, df), embed(choir, df[["path"]])
    query = str(choir / df["path"][5])
    assert main(["search", str(choir / "bundle"), str(choir / "starts.csv"), query, "--top-k", "3", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["found"][0]["answers"]
    distances, order = torch.cdist(queries[5:6], galleries)[0].sort(stable=True)
    assert [row["item"] for row in answers] == [df["path"][i] for i in order[:3].tolist()]
    assert [row["distance"] for row in answers] == pytest.approx(distances[:3].tolist(), abs=1e-3)
    assert answers[0]["label"] == 2


@pytest.mark.parametrize(
    ("options", "name", "min_cosine"),
    [
        (["--int8"], "m.onnx", 0.95),
        (["--to", "torch", "--fp16"], "m.pt2", 0.999),
    ],
)
def test_validate_and_export(options, name, min_cosine, choir, tmp_path, capsys):
    bundle, table = str(choir / "bundle"), str(choir / "starts.csv")
    assert main(["validate", bundle, table, "--metrics", "map@5", "--json"]) == 0
    mean = json.loads(capsys.readouterr().out)["map@5"]["mean"]
    arguments = ["export", bundle, "--data", table, "--out", str(tmp_path / name), *options, "--max-drop", "0.2"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert float(text.split("cosine: min ")[1].split(",")[0]) >= min_cosine
    assert f"map@5: {mean:.4f} -> " in text
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "--with-preprocessing", "--data", "df.csv", "--out", "m.onnx"], "the bundle takes audio"),
        (["search", "df.csv", "song.txt"], "Audio files must end in"),
        (["predict", "bundle", "--out", "e.npy"], "has no files of the modality audio"),
    ],
)
def test_bad_input(arguments, message, choir, capsys, monkeypatch):
    monkeypatch.chdir(choir)
    before = sorted(choir.iterdir())
    assert main([arguments[0], "bundle", *arguments[1:]]) == 1
    assert message in capsys.readouterr().err
    assert sorted(choir.iterdir()) == before
