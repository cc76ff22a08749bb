import json

import numpy as np
import pandas as pd
import pytest
import torch

import oml
from oml.cli.main import main
from oml.metrics import Estimate
from oml.models import ConvExtractor
from oml.transforms.images.torchvision import get_normalisation_resize_torch
from oml.utils import get_mock_images_dataset
from tests.full_disk import limit_files


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("mock")
    get_mock_images_dataset(root)
    (root / "empty.csv").write_text("path,label\na.png,1\n,2\n")
    return root


@pytest.fixture
def shoes(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        extractor = ConvExtractor(im_size=16, channels=(4, 8), feat_dim=6)
    return str(oml.save_bundle(tmp_path / "shoes", extractor, get_normalisation_resize_torch(16), threshold=100.0))


def embed(shoes, root):
    extractor, transform, _ = oml.load_bundle(shoes)
    from PIL import Image

    df = pd.read_csv(root / "df.csv")
    tensors = [transform(Image.open(root / path)) for path in df["path"]]
    with torch.no_grad():
        return df, extractor(torch.stack(tensors))


@pytest.mark.parametrize("ending", ["npy", "json", "parquet"])
@pytest.mark.parametrize("kind", ["table", "folder"])
def test_predict(kind, ending, shoes, root, tmp_path, capsys):
    out = tmp_path / f"embeddings.{ending}"
    data = root / "df.csv" if kind == "table" else root
    assert main(["predict", shoes, str(data), "--out", str(out)]) == 0
    assert "48 embeddings of 6 features" in capsys.readouterr().out
    if ending == "npy":
        items, embeddings = json.loads((tmp_path / "embeddings.items.json").read_text()), np.load(out)
    else:
        rows = json.loads(out.read_text()) if ending == "json" else pd.read_parquet(out).to_dict("records")
        items, embeddings = [row["item"] for row in rows], np.stack([row["embedding"] for row in rows])
    df, expected = embed(shoes, root)
    expected = expected[[df["path"].tolist().index(item) for item in items]]
    np.testing.assert_allclose(embeddings, expected.numpy(), atol=1e-6)
    assert len(set(items)) == 48


def test_boxes_of_a_table_are_cut_out(shoes, root, tmp_path):
    box = {"x_1": 2, "x_2": 20, "y_1": 3, "y_2": 25}
    pd.read_csv(root / "df.csv").head(3).assign(**box, path=lambda df: f"{root}/" + df["path"]).to_csv(
        tmp_path / "t.csv"
    )
    assert main(["predict", shoes, str(tmp_path / "t.csv"), "--out", str(tmp_path / "e.npy")]) == 0
    from PIL import Image

    extractor, transform, _ = oml.load_bundle(shoes)
    picture = Image.open(json.loads((tmp_path / "e.items.json").read_text())[2]).crop((2, 3, 20, 25))
    with torch.no_grad():
        expected = extractor(transform(picture)[None])[0]
    np.testing.assert_allclose(np.load(tmp_path / "e.npy")[2], expected.numpy(), atol=1e-6)


def test_validate_prints_and_saves(shoes, root, capsys):
    table = str(root / "df.csv")
    assert main(["validate", shoes, table, "--metrics", "cmc@1", "map@5", "--json", "--save"]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = oml.load_bundle(shoes).card.metrics
    assert {name: value["mean"] for name, value in printed.items()} == {n: e.mean for n, e in saved.items()}
    assert isinstance(saved["cmc@1"], Estimate)
    assert main(["validate", shoes, table, "--metrics", "cmc@1"]) == 0
    assert f"| cmc@1 | {saved['cmc@1'].mean:.4f} | " in capsys.readouterr().out

    df, embeddings = embed(shoes, root)
    df = df.fillna(0)
    queries, galleries = ((df[name].to_numpy() == 1).nonzero()[0] for name in ("is_query", "is_gallery"))
    distances = torch.cdist(embeddings[queries], embeddings[galleries])
    distances[torch.from_numpy(queries[:, None] == galleries)] = float("inf")
    labels = df["label"].to_numpy()
    found = labels[galleries][distances.argmin(dim=1).numpy()]
    assert saved["cmc@1"].mean == pytest.approx((found == labels[queries]).mean())


def test_search(shoes, root, capsys):
    df, embeddings = embed(shoes, root)
    is_val = (df["is_gallery"] == True).to_numpy(copy=True)  # noqa: E712
    query = str(root / df["path"][0])
    distances = torch.cdist(embeddings[:1], embeddings[is_val])[0]
    order = distances.argsort()[:3].tolist()
    expected = df[is_val].iloc[order]
    assert main(["search", shoes, str(root / "df.csv"), query, "--top-k", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threshold"] == 100.0
    assert [row["item"] for row in found["found"][0]["answers"]] == expected["path"].tolist()
    assert [row["label"] for row in found["found"][0]["answers"]] == expected["label"].tolist()

    threshold = (distances[order[0]] + distances[order[1]]).item() / 2
    arguments = ["search", shoes, str(root / "df.csv"), query, query, "--threshold"]
    assert main([*arguments, str(threshold)]) == 0
    text = capsys.readouterr().out
    assert (
        text.splitlines()[1]
        == f"  {distances[order[0]]:.4f}  {expected['path'].iloc[0]}  label {expected['label'].iloc[0]}"
    )
    assert len(text.splitlines()) == 4
    assert main([*arguments, "-1"]) == 0
    assert "nothing within the threshold -1" in capsys.readouterr().out


def test_export(shoes, root, tmp_path, capsys):
    out, table = tmp_path / "model.onnx", str(root / "df.csv")
    assert main(["export", shoes, "--data", table, "--out", str(out), "--int8"]) == 0
    text = capsys.readouterr().out
    assert "24 items; cosine: min 0.9" in text
    assert "cmc@1: " in text
    assert out.stat().st_size > 1000
    out.unlink()
    assert main(["export", shoes, "--data", table, "--out", str(out), "--min-cosine", "1.5"]) == 1
    assert "The exported file was thrown away" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("ending", ["npy", "json", "parquet"])
def test_no_space_for_embeddings(ending, shoes, root, tmp_path, capsys):
    out, beside = tmp_path / f"e.{ending}", tmp_path / "e.items.json"
    for path in (out, beside):
        path.write_text("the one before")
    with limit_files(500):
        assert main(["predict", shoes, str(root / "df.csv"), "--out", str(out)]) == 1
    assert f"There is no space for {tmp_path / 'e.'}" in capsys.readouterr().err
    assert {path.read_text() for path in (out, beside)} == {"the one before"}
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nowhere", "{root}", "--out", "e.npy"], r"nowhere is no bundle"),
        (["predict", "{shoes}", "{root}", "--out", "e.csv"], "--out must end with .npy, .parquet, .json, got 'e.csv'"),
        (["predict", "{shoes}", "{root}/nothing", "--out", "e.npy"], "There is no folder or table"),
        (["predict", "{shoes}", "{shoes}", "--out", "e.npy"], "has no files of the modality image: jpeg, jpg, png."),
        (["predict", "{shoes}", "{shoes}/README.md", "--out", "e.npy"], "cannot be read as a table"),
        (["predict", "{shoes}", "{shoes}/bundle.json", "--out", "e.npy"], "lacks the column 'path'"),
        (
            ["predict", "{shoes}", "{root}/empty.csv", "--out", "e.npy"],
            "empty cells in the column 'path', in the rows 1.",
        ),
        (["predict", "{shoes}", "{root}", "--out", "{root}/df.csv/e.npy"], "df.csv/e.npy cannot be written to"),
        (
            ["predict", "{shoes}", "{root}", "--out", "e.npy", "--device", "gpu"],
            "--device 'gpu' cannot be used: Expected",
        ),
        (["validate", "{shoes}", "{root}/nothing.csv"], "There is no folder or table"),
        (["validate", "{shoes}", "{root}/df.csv", "--metrics", "cmc@x"], "cmc@x"),
        (["validate", "hf://shop/shoes", "{root}/df.csv", "--save"], "--save needs a folder"),
        (["search", "{shoes}", "{root}/df.csv", "q.jpg", "--top-k", "0"], "--top-k must be at least 1, got 0"),
        (["search", "{shoes}", "{root}/df.csv", "q.jpg"], "there is no file q.jpg"),
    ],
)
def test_bad_input(arguments, message, shoes, root, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([text.format(shoes=shoes, root=root) for text in arguments]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["shoes"]
