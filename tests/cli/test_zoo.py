import json
from pathlib import Path

import pytest

import oml
from oml import const
from oml.cli.main import main
from oml.cli.zoo import describe_in_markdown
from oml.models.zoo import ZOO, Checkpoint
from oml.utils import download
from oml.utils.io import calc_hash
from tests.full_disk import limit_files
from tests.utils.file_server import serve


def test_table(capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["KEY", "EXTRACTOR", "ARCHITECTURE", "LICENCE"]
    assert [line.split()[0] for line in lines[1:]] == list(ZOO)
    assert next(line.split() for line in lines if line.startswith("vitb14_reg_dinov2")) == [
        *("vitb14_reg_dinov2", "ViTExtractor", "vitb14_reg", "Apache-2.0")
    ]
    assert len({line.index("ViTExtractor") for line in lines if "ViTExtractor" in line}) == 1


def test_json(capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["key"] for record in records] == list(ZOO)
    record = next(record for record in records if record["key"] == "vits16_cub")
    assert record["sources"] == list(ZOO["vits16_cub"].sources)
    assert record["transform"] == ["norm_resize_albu", {"im_size": 224}]
    assert record["init_args"] == {"arch": "vits16", "normalise_features": False}


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo", "--markdown"]) == 0
    page = Path(oml.__file__).parents[1] / "docs" / "zoo.md"
    assert capsys.readouterr().out == page.read_text(), "Write it again: oml zoo --markdown > docs/zoo.md"


def test_a_row_of_the_page() -> None:
    row = describe_in_markdown([ZOO["resnet18_imagenet1k_v1"]]).splitlines()[-1]
    assert row.startswith(
        "| `resnet18_imagenet1k_v1` | `arch='resnet18', normalise_features=False, gem_p=None, remove_fc=True` |"
    )
    assert "[1](https://download.pytorch.org/models/resnet18-f37072fd.pth)" in row
    assert row.endswith("| BSD-3-Clause | ImageNet-1K acc@1 69.8, ImageNet-1K acc@5 89.1 |")


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(const, "CKPT_SAVE_ROOT", tmp_path / "cache")
    with serve() as server:
        sources = (server.url("gone"), server.add("file", b"weights"))
        record = Checkpoint("net", "ViTExtractor", {}, sources, "net.ckpt", calc_hash(b"weights"), None)
        monkeypatch.setitem(ZOO, "net", record)
        assert main(["zoo", "download", "net"]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'cache' / 'net.ckpt'}\n"
        assert main(["zoo", "download", "net", "--to", str(tmp_path / "to")]) == 0
        server.add("file", b"other")
        assert main(["zoo", "download", "net"]) == 0  # it is there
        assert main(["zoo", "download", "net", "--to", str(tmp_path / "again")]) == 1
    assert (tmp_path / "to" / "net.ckpt").read_bytes() == b"weights"
    assert "oml zoo: net.ckpt could not be downloaded. " in capsys.readouterr().err
    assert not list((tmp_path / "again").iterdir())


def test_a_broken_download_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_PIECE_BYTES", 100)
    content = bytes(range(256)) * 8
    with serve() as server:
        url = server.add("file", content, break_after=[500, 0])  # breaks off, and then gives nothing
        monkeypatch.setitem(
            ZOO, "net", Checkpoint("net", "ViTExtractor", {}, (url,), "net.ckpt", calc_hash(content), None)
        )
        arguments = ["zoo", "download", "net", "--to", str(tmp_path / "to")]
        assert main(arguments) == 1
        assert "oml zoo: net.ckpt could not be downloaded" in capsys.readouterr().err
        assert not (tmp_path / "to" / "net.ckpt").exists()
        server.files["/file"].break_after.clear()
        n_before = len(server.requests)
        assert main(arguments) == 0
        assert server.requests[n_before:] == [("/file", "bytes=500-")]
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == {"net.ckpt": content}


def test_no_space_for_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = bytes(5000)
    with serve() as server:
        sources = (server.add("file", content), server.add("other", content))
        monkeypatch.setitem(
            ZOO, "net", Checkpoint("net", "ViTExtractor", {}, sources, "net.ckpt", calc_hash(content), None)
        )
        with limit_files(1000):
            assert main(["zoo", "download", "net", "--to", str(tmp_path / "to")]) == 1
        assert len(server.requests) == 1  # another source would not help
    assert "The disk is full: net.ckpt of 5000 bytes could not be written to" in capsys.readouterr().err
    assert list((tmp_path / "to").iterdir()) == []


def test_unknown_key(capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo", "download", "vits16_dyno"]) == 1
    assert "Unknown checkpoint 'vits16_dyno'. Did you mean 'vits16_dino'" in capsys.readouterr().err
