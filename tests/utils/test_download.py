import errno
import hashlib
import json
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from oml.errors import InvalidInputError
from oml.utils import download as module
from oml.utils import io
from oml.utils.download import DownloadError, download, get_name
from oml.utils.io import download_checkpoint, download_checkpoint_one_of, download_file_from_url, has_hash
from tests.utils.file_server import FileServer, serve

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "_PIECE_BYTES", 500)
    with serve() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(io, "CKPT_SAVE_ROOT", tmp_path / "oml" / "checkpoints")
    monkeypatch.setattr(module, "CACHE_PATH", tmp_path / "oml")
    return tmp_path / "oml" / "checkpoints"


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
    ("expected", "is_right"),
    [
        *((right, True) for right in (MD5, MD5[:6], MD5[:8].upper(), SHA256, f"sha256:{SHA256[:8]}")),
        *((wrong, False) for wrong in (SHA256[:8], f"sha256:{MD5[:8]}", "0" * 32, "0" * 64)),
    ],
)
def test_has_hash(expected: str, is_right: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert has_hash(tmp_path / "file", expected) is is_right


@pytest.mark.parametrize("expected", ["", "sha256:", "xyz", "sha1:abc", "0" * 65])
def test_a_hash_that_cannot_be_one(expected: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(InvalidInputError, match="must be given as hexadecimal digits"):
        has_hash(tmp_path / "file", expected)


@pytest.mark.parametrize("hash_", [None, MD5, MD5[:6], SHA256])
@pytest.mark.parametrize("has_length", [True, False])
def test_whole_file(hash_: str | None, has_length: bool, server: FileServer, tmp_path: Path) -> None:
    url = server.add("a/file.pth", CONTENT, has_length=has_length)
    assert download(url, tmp_path / "new" / "x.ckpt", hash_).read_bytes() == CONTENT
    assert names_in(tmp_path / "new") == ["x.ckpt"]


def test_a_progress_bar_is_shown(server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    download(server.add("file", CONTENT), tmp_path / "x.ckpt")
    shown = capsys.readouterr().err
    assert "x.ckpt" in shown
    assert "10.0k/10.0k" in shown


def test_what_is_there_is_kept_if_its_hash_is_right(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    assert download("http://127.0.0.1:1/nothing", path, MD5) == path
    path.write_bytes(b"damaged")
    download(server.add("file", CONTENT), path, MD5)
    assert path.read_bytes() == CONTENT


DATE = "Wed, 25 Nov 2026 03:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [({"ETag": '"1"'}, '"1"'), ({"Last-Modified": DATE}, DATE), ({"ETag": 'W/"1"', "Last-Modified": DATE}, DATE)],
)
def test_a_broken_connection_is_taken_up(
    headers: dict[str, str], validator: str, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    url = server.add("file", CONTENT, headers=headers, break_after=[1000, 3000])
    assert download(url, tmp_path / "x", MD5).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000-", "bytes=4000-"]
    assert server.validators == [None, validator, validator]
    assert names_in(tmp_path) == ["x"]
    assert "10.0k/10.0k" in capsys.readouterr().err


def test_a_server_may_give_less_than_it_is_asked_for(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, break_after=[1000], max_piece=5000)
    assert download(url, tmp_path / "x").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000-", "bytes=6000-"]


def test_a_cut_off_file_of_unknown_length_is_known_by_its_hash(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, has_length=False, break_after=[1000])
    assert download(url, tmp_path / "x", MD5).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, None]


def test_the_next_call_goes_on_where_the_last_one_failed(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, break_after=[1000, 0])
    with pytest.raises(DownloadError, match="could not be downloaded"):
        download(url, tmp_path / "x", MD5)
    assert names_in(tmp_path) == [".x.part", ".x.part.json"]
    download(url, tmp_path / "x", MD5)
    assert [asked for _, asked in server.requests][2:] == ["bytes=1000-"]
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_parts_of_different_files_are_not_joined(obeys_if_range: bool, server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", b"old" * 5000, break_after=[1000, 0])
    with pytest.raises(DownloadError):
        download(url, tmp_path / "x")
    server.add("file", CONTENT, headers={"ETag": '"2"'}, obeys_if_range=obeys_if_range)
    assert download(url, tmp_path / "x").read_bytes() == CONTENT


def test_a_part_of_another_source_is_not_used(server: FileServer, tmp_path: Path) -> None:
    broken, whole = server.add("a", b"a" * 5000, break_after=[1000, 0]), server.add("b", CONTENT)
    assert download([broken, whole], tmp_path / "x").read_bytes() == CONTENT
    assert server.requests[-1] == ("/b", None)
    assert names_in(tmp_path) == ["x"]


def test_a_whole_part_only_has_to_be_moved(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT)
    (tmp_path / ".x.part").write_bytes(CONTENT)
    (tmp_path / ".x.part.json").write_text(json.dumps({"url": url, "validator": '"1"'}))
    assert download(url, tmp_path / "x", MD5).read_bytes() == CONTENT
    assert server.requests == [("/file", f"bytes={len(CONTENT)}-")]


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": 1}'])
def test_a_part_longer_than_the_file_or_without_a_note_is_thrown_away(
    note: str, server: FileServer, tmp_path: Path
) -> None:
    url = server.add("file", CONTENT)
    (tmp_path / ".x.part").write_bytes(CONTENT + b"more")
    (tmp_path / ".x.part.json").write_text(note or json.dumps({"url": url, "validator": '"1"'}))
    assert download(url, tmp_path / "x", MD5).read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x"]


def test_a_server_without_ranges_starts_anew(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, has_ranges=False, break_after=[1000])
    assert download(url, tmp_path / "x", MD5).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_nothing_is_left_of_what_cannot_be_resumed(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, headers={}, has_ranges=False, break_after=[1000, 1000])
    with pytest.raises(DownloadError, match=r"1000 bytes read"):
        download(url, tmp_path / "x", MD5)
    assert names_in(tmp_path) == []


def test_a_wrong_hash_is_fetched_once_more(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", b"something else")
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(DownloadError, match=rf"14 bytes\) does not have the hash {MD5[:8]}, also when fetched again"):
        download(url, tmp_path / "x", MD5[:8])
    assert len(server.requests) == 2
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names_in(tmp_path) == ["x"]


def test_sources_in_order(server: FileServer, tmp_path: Path) -> None:
    sources = [server.url("gone"), server.add("busy", b"", status=503), server.add("wrong", b"wrong")]
    assert download([*sources, server.add("file", CONTENT)], tmp_path / "x", MD5).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/gone", "/busy", "/wrong", "/wrong", "/file"]


def test_all_sources_fail(server: FileServer, cache: Path) -> None:
    sources = [server.url("gone"), server.add("busy", b"", status=503)]
    with pytest.raises(DownloadError) as error:
        download_checkpoint_one_of(sources, MD5[:6], "x.ckpt")
    text = str(error.value)
    assert text.startswith("x.ckpt could not be downloaded. ")
    assert f"[{sources[0]}: the server answered 404 Not Found]" in text
    assert f"[{sources[1]}: the server answered 503 Service Unavailable]" in text
    assert f"fetch the file on another machine and put it at {cache / 'x.ckpt'} (on Linux, XDG_CACHE_HOME" in text
    assert text.endswith(f"Its MD5 hash must begin with {MD5[:6]}.")
    assert isinstance(error.value, RuntimeError)
    assert names_in(cache) == []


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as gone:
        url = gone.url("file")
    with pytest.raises(DownloadError, match="ConnectionError") as error:
        download_checkpoint(url, f"sha256:{SHA256[:8]}", "x.ckpt")
    assert "Connect to the network, set HTTPS_PROXY if there is a proxy, or fetch" in str(error.value)
    assert str(error.value).endswith(f"Its SHA256 hash must begin with {SHA256[:8]}.")


class FullDisk:
    """A file that takes a few bytes."""

    def __init__(self, file: Any):
        self.file = file

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *args: object) -> None:
        self.file.close()

    def write(self, chunk: bytes) -> None:
        self.file.write(chunk[:10])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("before", [None, b"old"])
def test_full_disk(before: bytes | None, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if before:
        (tmp_path / "x").write_bytes(before)
    opened = Path.open

    def open_on_full_disk(path: Path, mode: str = "r", **options: Any) -> Any:
        file = opened(path, mode, **options)
        return FullDisk(file) if mode == "ab" else file

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(
        OSError, match=r"The disk is full: x of 10240 bytes could not be written to .*Make space"
    ) as error:
        download([server.add("file", CONTENT), server.add("other", CONTENT)], tmp_path / "x", MD5)
    assert error.value.errno == errno.ENOSPC
    assert len(server.requests) == 1
    assert names_in(tmp_path) == (["x"] if before else [])


def _download(url: str, path: Path) -> None:
    assert download(url, path, MD5).read_bytes() == CONTENT


def test_processes_at_once_download_once(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT)
    processes = [get_context("fork").Process(target=_download, args=(url, tmp_path / "x")) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(server.requests) == 1
    assert names_in(tmp_path) == ["x"]


def test_google_drive(server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("download?id=1aB-_&confirm=t", CONTENT)
    server.add("download?id=full&confirm=t", b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})
    monkeypatch.setattr(module, "GOOGLE_DRIVE", server.url("download?id={id}&confirm=t"))
    assert download_checkpoint("1aB-_", MD5[:6]) == cache / "1aB-_"
    with pytest.raises(DownloadError, match="Google Drive gives a page instead of the file: it is private"):
        download_checkpoint("full", None, "x")
    assert names_in(cache) == ["1aB-_"]


def test_checkpoint_goes_to_the_cache_folder(server: FileServer, cache: Path) -> None:
    url = server.add("models/a%20b.pth?version=2", CONTENT)
    assert download_checkpoint(url, MD5) == cache / "a b.pth"
    assert download_checkpoint_one_of([server.url("gone"), url], MD5, "x.ckpt") == cache / "x.ckpt"
    assert names_in(cache) == ["a b.pth", "x.ckpt"]
    with pytest.raises(InvalidInputError, match="url_or_fid_list must hold at least one address or id"):
        download_checkpoint_one_of([], MD5)


def test_file_from_url(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = server.add("models/vit.pth", CONTENT)
    Path("vit.pth").write_bytes(b"old")
    assert download_file_from_url(url) == tmp_path / "vit.pth"
    assert Path("vit.pth").read_bytes() == CONTENT
    assert download_file_from_url(url, "sub/x").read_bytes() == CONTENT
    with pytest.raises(RuntimeError, match="the server answered 404 Not Found"):
        download_file_from_url(server.url("gone"), "y")
    assert names_in(tmp_path) == ["sub", "vit.pth"]


def test_names() -> None:
    assert get_name("https://example.org/a/b%20c.pth?x=1#y") == "b c.pth"
    assert get_name("https://example.org/") == "download"


def test_an_unasked_part_is_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.add("file", CONTENT, headers={"ETag": '"1"', "Content-Range": "items"}, break_after=[1000])
    with pytest.raises(DownloadError, match="gave a part of the file without saying which"):
        download(url, tmp_path / "x", MD5)
