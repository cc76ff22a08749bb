import pickle
from pathlib import Path

import pytest

from oml.datasets.file_cache import FileCache
from oml.errors import InvalidInputError


def test_the_file_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    read: list[str] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))

    cache = FileCache(max_files=2)
    for name in "aabacab":
        assert cache.read(tmp_path / name) == name.encode()
    assert read == ["a", "b", "c", "b"]
    assert len(cache) == 2


def test_paths_and_texts_are_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    cache = FileCache(5)
    assert cache.read(tmp_path / "a") == cache.read(str(tmp_path / "a"))
    assert len(cache) == 1


def test_nothing_is_kept_for_size_zero(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    cache = FileCache(0)
    assert cache.read(tmp_path / "a") == b"a"
    assert len(cache) == 0


def test_contents_are_not_sent_to_other_processes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    cache = FileCache(3)
    cache.read(tmp_path / "a")
    copy = pickle.loads(pickle.dumps(cache))
    assert (len(cache), len(copy), copy.max_files) == (1, 0, 3)
    assert copy.read(tmp_path / "a") == b"a"


def test_missing_file_and_wrong_size(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileCache(1).read(tmp_path / "a")
    with pytest.raises(InvalidInputError, match="must not be negative, got -1"):
        FileCache(-1)
