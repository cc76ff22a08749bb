import json

import pytest
import torch
from PIL import Image

from oml.cli.main import COMMANDS, main
from oml.models import ConvExtractor


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("glyphs")
    out = tmp_path_factory.mktemp("runs") / "demo"
    arguments = ["demo", "--epochs", "1", "--workers", "0", "--out", str(out), "--dataset-root", str(root)]
    assert main(arguments) == 0
    return out


def test_training_helps(results):
    report = json.loads((results / "metrics.json").read_text())
    assert 0.45 < report["before"]["cmc@1"] < 0.65
    for name, before in report["before"].items():
        assert report["after"][name] > before + 0.1
    assert report["data"]["validation"] > 9000
    assert report["seconds"]["all"] > report["seconds"]["training"] > 0


def test_figures_are_there_and_nothing_is_half_written(results):
    assert {path.name for path in results.iterdir()} == {
        "metrics.json",
        "extractor.ckpt",
        "worst_queries.png",
        "random_queries.png",
    }
    for name in ("worst_queries.png", "random_queries.png"):
        with Image.open(results / name) as figure:
            assert min(figure.size) > 200


def test_weights_can_be_loaded(results):
    state = torch.load(results / "extractor.ckpt", weights_only=True)["state_dict"]
    extractor = ConvExtractor(im_size=32)
    extractor.load_state_dict(state)
    assert torch.isfinite(extractor.eval()(torch.rand(1, 3, 32, 32))).all()


def test_wrong_epochs(capsys):
    assert main(["demo", "--epochs", "0"]) == 1
    assert "--epochs must be positive, got 0" in capsys.readouterr().err


def test_negative_workers(capsys):
    assert main(["demo", "--workers", "-1"]) == 1
    assert "--workers must not be negative, got -1" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said_before_training(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file" / "demo"), "--dataset-root", str(tmp_path / "glyphs")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert not (tmp_path / "glyphs").exists()


def test_usage_names_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_unknown_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dmeo"])
    assert stop.value.code == 2
    assert "demo" in capsys.readouterr().err
