import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oml.errors import InvalidInputError
from oml.utils import remote_storage
from oml.utils.download import DownloadError
from oml.utils.remote_storage import download_file_from_remote_storage, download_folder_from_remote_storage
from tests.utils.file_server import FileServer, serve


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as server:
        monkeypatch.setattr(remote_storage, "STORAGE_URL", server.url("").rstrip("/"))
        yield server


def test_file(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server.add("download/sets/a%20b.csv", b"1,2")
    assert download_file_from_remote_storage("/sets/a b.csv") == tmp_path / "a b.csv"
    assert download_file_from_remote_storage("sets/a b.csv", tmp_path / "x").read_bytes() == b"1,2"
    with pytest.raises(DownloadError, match=r"/download/sets/b\.csv: the server answered 404"):
        download_file_from_remote_storage("sets/b.csv")


def test_folder(server: FileServer, tmp_path: Path) -> None:
    server.add("ls/sets/mock", json.dumps(["df.csv", "images/", "voices/1.wav"]).encode())
    server.add("ls/sets/mock/images", json.dumps(["1.jpg"]).encode())
    for name in ("df.csv", "images/1.jpg", "voices/1.wav"):
        server.add(f"download/sets/mock/{name}", name.encode())
    download_folder_from_remote_storage("sets/mock", tmp_path / "mock")
    files = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {f"mock/{name}": name for name in ("df.csv", "images/1.jpg", "voices/1.wav")}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x"])
def test_nothing_is_written_outside(name: str, server: FileServer, tmp_path: Path) -> None:
    server.add("ls/sets", json.dumps([name]).encode())
    with pytest.raises(InvalidInputError, match="lies outside of it"):
        download_folder_from_remote_storage("sets", tmp_path / "sets")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"<html>", b'{"a": 1}', b"[1]", None])
def test_no_list(content: bytes | None, server: FileServer, tmp_path: Path) -> None:
    if content is not None:
        server.add("ls/sets", content)
    with pytest.raises(DownloadError, match=r"The list http://127.0.0.1:\d+/ls/sets could not be read"):
        download_folder_from_remote_storage("sets", tmp_path)
