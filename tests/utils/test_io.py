import errno
import hashlib
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from oml.utils.io import atomic_path, calc_folder_hash, calc_hash, check_exists_and_validate_md5, open_sink
from tests.full_disk import limit_files


def names_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def write_folder(path: Path, content: str, n_files: int = 3) -> None:
    path.mkdir()
    for i in range(n_files):
        (path / f"{i}.txt").write_text(content)


@pytest.mark.parametrize("before", [None, "old"])
def test_atomic_file(tmp_path: Path, before: str | None) -> None:
    final = tmp_path / "sub" / "a.json"
    if before is not None:
        final.parent.mkdir()
        final.write_text(before)
    with atomic_path(final) as path:
        assert path.suffix == ".json"
        assert not path.exists()
        path.write_text("new")
        assert (final.read_text() if before else final.exists()) == (before or False)
    assert final.read_text() == "new"
    assert names_in(tmp_path) == ["sub", "sub/a.json"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_everything_as_it_was(tmp_path: Path, kind: str) -> None:
    final = tmp_path / "a"
    final.write_text("old")

    def write_and_fail() -> None:
        with atomic_path(final) as path:
            path.write_text("half") if kind == "file" else write_folder(path, "half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        write_and_fail()
    assert final.read_text() == "old"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(5000)),
        lambda path: write_by_library(path, torch.save, "file last"),
        lambda path: write_by_library(path, np.save, "file first"),
    ],
    ids=["bytes", "torch", "numpy"],
)
def test_no_space(tmp_path: Path, write: Callable[[Path], None]) -> None:
    final = tmp_path / "a"
    final.write_text("old")
    with pytest.raises(OSError, match=r"There is no space for .*/a \(.*\), so it is as it was\. Make space") as error:  # noqa: SIM117
        with limit_files(1000), atomic_path(final) as path:
            write(path)
    assert error.value.errno == errno.EFBIG
    assert final.read_text() == "old"
    assert names_in(tmp_path) == ["a"]


def write_by_library(path: Path, save: Callable[..., None], order: str) -> None:
    with open_sink(path) as file:
        arguments = (file, np.arange(1000.0)) if order == "file first" else (torch.arange(1000.0), file)
        save(*arguments)


def test_what_goes_through_a_sink_is_what_the_library_writes(tmp_path: Path) -> None:
    write_by_library(tmp_path / "a.npy", np.save, "file first")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.arange(1000.0))
    write_by_library(tmp_path / "a.pt", torch.save, "file last")
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True), torch.arange(1000.0))


def test_a_place_that_cannot_be_written_to_is_said_before_the_block(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file/a", "file/b/a"):
        with pytest.raises(OSError, match=rf"{place} cannot be written to, .*file.* tells: .*Choose another place"):  # noqa: SIM117
            with atomic_path(tmp_path / place):
                pytest.fail("the block began")


def test_atomic_folder(tmp_path: Path) -> None:
    final = tmp_path / "data"
    with atomic_path(str(final)) as path:
        write_folder(path, "x")
    assert names_in(tmp_path) == ["data", "data/0.txt", "data/1.txt", "data/2.txt"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    final = tmp_path / "data"
    final.mkdir()
    with atomic_path(final) as path:
        write_folder(path, "x", n_files=1)
    assert names_in(tmp_path) == ["data", "data/0.txt"]


def test_a_folder_with_files_is_replaced_only_on_demand(tmp_path: Path) -> None:
    final = tmp_path / "data"
    write_folder(final, "precious", n_files=2)
    with pytest.raises(FileExistsError, match=r"data is not empty.*Delete it"), atomic_path(final) as path:
        write_folder(path, "new", n_files=1)
    assert names_in(final) == ["0.txt", "1.txt"]
    with atomic_path(final, replace_folder=True) as path:
        write_folder(path, "new", n_files=1)
    assert names_in(tmp_path) == ["data", "data/0.txt"]
    assert (final / "0.txt").read_text() == "new"


@pytest.mark.parametrize("keep", [True, False])
def test_what_another_process_finished_is_kept_if_good(tmp_path: Path, keep: bool) -> None:
    final = tmp_path / "data"
    with atomic_path(final, replace_folder=True, keep_if=lambda p: keep) as path:
        write_folder(path, "mine")
        write_folder(final, "theirs")
    assert (final / "0.txt").read_text() == ("theirs" if keep else "mine")
    assert len(names_in(tmp_path)) == 4


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Nothing was written"), atomic_path(tmp_path / "a"):
        pass
    assert names_in(tmp_path) == []


def test_a_file_takes_the_place_of_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with atomic_path(tmp_path / "a") as path:
        path.write_text("x")
    assert (tmp_path / "a").read_text() == "x"


def _replace_many_times(final: Path, content: str) -> None:
    for _ in range(20):
        with atomic_path(final, replace_folder=True) as path:
            write_folder(path, content)


def test_processes_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    final = tmp_path / "data"
    context = get_context("fork")
    writers = [context.Process(target=_replace_many_times, args=(final, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len({(final / f"{i}.txt").read_text() for i in range(3)}) == 1
    assert len(names_in(tmp_path)) == 4


@pytest.mark.parametrize("content", [b"", b"a", b"ab" * 2**20 + b"c"], ids=["empty", "short", "long"])
def test_calc_hash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert calc_hash(path) == calc_hash(str(path)) == calc_hash(content) == hashlib.md5(content).hexdigest()


def test_calc_hash_of_something_else() -> None:
    with pytest.raises(TypeError, match="path or bytes, got int"):
        calc_hash(1)  # type: ignore[arg-type]


def test_calc_folder_hash(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "sub").mkdir()
    names = ["b", "sub/a", *(f"x{i}" for i in range(9))]
    for name in (*names[5:], *names[:5]):
        (tmp_path / name).write_text(name)
    text = "".join(names) + "".join(hashlib.md5(name.encode()).hexdigest() for name in names)
    assert calc_folder_hash(tmp_path) == hashlib.md5(text.encode()).hexdigest()
    with pytest.raises(NotADirectoryError, match="missing"):
        calc_folder_hash(tmp_path / "missing")


def test_check_exists_and_validate_md5(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert not check_exists_and_validate_md5(path)
    path.write_bytes(b"1")
    assert check_exists_and_validate_md5(path)
    assert check_exists_and_validate_md5(str(path), calc_hash(b"1"))
    assert not check_exists_and_validate_md5(path, calc_hash(b"2"))
    assert check_exists_and_validate_md5(tmp_path, calc_folder_hash(tmp_path))
    assert not check_exists_and_validate_md5(tmp_path, calc_hash(b"1"))
