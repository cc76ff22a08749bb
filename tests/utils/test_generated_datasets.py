from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

from oml.utils import generated_datasets
from oml.utils.generated_datasets import MANIFEST, GeneratedDataset, get_generated_dataset, is_complete

TABLE = """label,split,is_query,is_gallery,path
0,train,,,images/a.txt
1,validation,1,0,images/b.txt
1,validation,0,1,images/c.txt
"""
FILES = ["df.csv", "images/a.txt", "images/b.txt", "images/c.txt", MANIFEST]


class Generator:
    """Writes three items, and counts how often."""

    def __init__(self, fail: bool = False) -> None:
        self.n_calls = 0
        self.fail = fail

    def __call__(self, folder: Path) -> None:
        self.n_calls += 1
        (folder / "images").mkdir()
        for name in "abc":
            (folder / "images" / f"{name}.txt").write_text(name)
            if self.fail:
                raise RuntimeError("power cut")
        (folder / "df.csv").write_text(TABLE)

    def get(
        self,
        root: Path | str,
        df_name: str = "df.csv",
        check_md5: bool = True,
        global_paths: bool = False,
        name: str = "t 1",
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        dataset = GeneratedDataset(name, ("df.csv",), self)
        return get_generated_dataset(dataset, root, df_name, check_md5, global_paths)


def names_in(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_tables(tmp_path: Path) -> None:
    df_train, df_val = Generator().get(tmp_path / "deep" / "root")
    assert df_train["path"].tolist() == ["images/a.txt"]
    assert df_val["is_query"].tolist() == [True, False]
    assert df_val["is_query"].dtype == df_val["is_gallery"].dtype == bool
    assert df_val.index.tolist() == [0, 1]
    assert names_in(tmp_path / "deep" / "root") == FILES


def test_global_paths(tmp_path: Path) -> None:
    for root in (tmp_path, str(tmp_path)):
        df_train, df_val = Generator().get(root, global_paths=True)
        for df in (df_train, df_val):
            assert all(Path(path).is_relative_to(tmp_path) and Path(path).exists() for path in df["path"])


def test_what_is_whole_is_kept(tmp_path: Path) -> None:
    generator = Generator()
    for check_md5 in (True, True, False):
        generator.get(tmp_path, check_md5=check_md5)
    assert generator.n_calls == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "half", "other bytes"])
def test_what_is_damaged_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    Generator().get(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"x" * len(content))
    generator = Generator()
    if (name, damage) == (MANIFEST, "missing"):  # then nothing tells the files from the user's own
        with pytest.raises(FileExistsError):
            generator.get(tmp_path)
        return
    generator.get(tmp_path)
    assert generator.n_calls == 1
    assert path.read_bytes() == content
    assert names_in(tmp_path) == FILES


def test_without_hashes_only_missing_files_count(tmp_path: Path) -> None:
    Generator().get(tmp_path)
    (tmp_path / "images" / "a.txt").write_text("other")
    generator = Generator()
    generator.get(tmp_path, check_md5=False)
    assert generator.n_calls == 0
    (tmp_path / "images" / "a.txt").unlink()
    generator.get(tmp_path, check_md5=False)
    assert generator.n_calls == 1


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", "null", '{"name": "t 1", "files": {}}', '{"name": "t 1", "files": 5}']
)
def test_a_wrong_manifest(tmp_path: Path, manifest: str) -> None:
    (tmp_path / MANIFEST).write_text(manifest)
    Generator().get(tmp_path)
    assert names_in(tmp_path) == FILES


def test_another_version_is_renewed(tmp_path: Path) -> None:
    Generator().get(tmp_path, name="t 1")
    generator = Generator()
    generator.get(tmp_path, name="t 2")
    generator.get(tmp_path, name="t 2")
    assert generator.n_calls == 1


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        Generator(fail=True).get(tmp_path)
    assert names_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_move_is_finished_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = generated_datasets.os.replace

    def replace_until(source: Path, target: Path) -> None:
        if str(target).endswith("b.txt"):
            raise KeyboardInterrupt
        replace(source, target)

    generator = Generator()
    with monkeypatch.context() as patch:
        patch.setattr(generated_datasets.os, "replace", replace_until)
        with pytest.raises(KeyboardInterrupt):
            generator.get(tmp_path)
    assert names_in(tmp_path) == ["df.csv", "images/a.txt", MANIFEST]
    dataset = GeneratedDataset("t 1", ("df.csv",), generator)
    assert not is_complete(dataset, tmp_path, check_md5=False)
    generator.get(tmp_path)
    assert names_in(tmp_path) == FILES


def test_files_of_the_user_are_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "df.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not made here: df\.csv\. Pass another dataset_root, or delete them"):
        Generator().get(tmp_path)
    assert names_in(tmp_path) == ["df.csv", "notes.txt"]
    assert (tmp_path / "df.csv").read_text() == "mine"

    monkeypatch.setattr(generated_datasets, "CACHE_PATH", tmp_path)  # inside the cache folder everything is ours
    Generator().get(tmp_path)
    assert (tmp_path / "df.csv").read_text() == TABLE
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(OSError, match=r"Cannot write the data set to the folder .*file.*Pass another dataset_root"):
            Generator().get(root)


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(generated_datasets, "TemporaryDirectory", refuse)
    with pytest.raises(PermissionError, match=r"Cannot write the data set to the folder .*\(Permission denied\)"):
        Generator().get(tmp_path)


def test_unknown_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown df_name 'df_2\.csv'. Did you mean 'df\.csv'\? Known: df\.csv"):
        Generator().get(tmp_path, df_name="df_2.csv")
    assert names_in(tmp_path) == []


def test_another_process_may_finish_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lexists = generated_datasets.os.path.lexists

    def let_the_other_finish(path: Path) -> bool:
        monkeypatch.setattr(generated_datasets.os.path, "lexists", lexists)
        Generator().get(tmp_path)
        return lexists(path)

    monkeypatch.setattr(generated_datasets.os.path, "lexists", let_the_other_finish)
    Generator().get(tmp_path)
    assert names_in(tmp_path) == FILES


def _get_many_times(root: Path) -> None:
    for _ in range(10):
        (root / "images" / "b.txt").unlink(missing_ok=True)
        df_train, df_val = Generator().get(root)
        assert len(df_train) + len(df_val) == 3


def test_processes_at_once(tmp_path: Path) -> None:
    context = get_context("fork")
    processes = [context.Process(target=_get_many_times, args=(tmp_path / "new",)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    Generator().get(tmp_path / "new")
    assert names_in(tmp_path / "new") == FILES
