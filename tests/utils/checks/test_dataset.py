import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from oml.cli.main import main
from oml.errors import InvalidInputError
from oml.utils import check_dataset
from oml.utils.checks.report import DatasetReport, show_ranges
from tests.utils.checks.conftest import draw


def check(table: Any, root: Path | None = None, **options: Any) -> DatasetReport:
    return check_dataset(table, root, verbose=False, **options)


def find(report: DatasetReport) -> dict[str, list[int]]:
    return {finding.rule: finding.rows.tolist() for finding in report.findings}


def test_a_sound_data_set(root: Path, table: pd.DataFrame) -> None:
    report = check(table, root)
    assert (report.findings, report.n_rows) == ([], 8)
    assert report.summary["train"] == "4 items of 2 labels, 2 to 2 each, 2 in the middle"
    assert str(report).startswith("8 rows: 0 errors, 0 warnings.")


def test_everything_at_once_with_all_rows(root: Path, table: pd.DataFrame) -> None:
    df = pd.concat([table] * 150, ignore_index=True)
    df.loc[df.index % 8 == 0, "path"] = "none.png"
    (root / "1.png").write_bytes(b"broken")
    df["x_1"], df["x_2"], df["y_1"], df["y_2"] = 0.0, 10.0, 0.0, 10.0
    df.loc[df.index % 8 == 2, ["x_1", "x_2"]] = [64.0, 70.0]
    df.loc[df.index % 8 == 3, "x_2"] = 65.0
    df.loc[df.index % 8 == 4, "y_1"] = 10.5
    df.loc[df.index % 8 == 5, "split"] = "test"
    df.loc[df.index % 8 == 6, "is_query"] = "yes"
    report = check(df, root)
    rules = {"path": 0, "broken_file": 1, "bbox_outside": 2, "bboxes": 4, "split": 5, "validation_flags": 6}
    assert {rule: report.get_rows(rule) for rule in rules} == {
        rule: list(range(place, 1200, 8)) for rule, place in rules.items()
    }
    assert {finding.rule for finding in report.errors} == {*rules}
    assert report.get_rows("bbox_cut") == list(range(3, 1200, 8))
    assert [finding.rule for finding in report.warnings] == ["bbox_cut"]


def test_a_thousand_broken_rows_are_all_named(root: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    df = pd.concat([table] * 126, ignore_index=True).assign(path=lambda df: [f"none/{i}.png" for i in df.index])
    df.loc[:7, "path"] = table["path"]
    df.to_csv(root / "df.csv", index=False)
    assert main(["check", str(root / "df.csv"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["n_rows"], report["n_errors"]) == (1008, 1)
    assert report["findings"][0]["rows"] == list(range(8, 1008))
    assert main(["check", str(root / "df.csv")]) == 1
    text = capsys.readouterr().out
    assert "ERROR [path] Column 'path': must be the path of an existing file" in text
    assert "all rows: 8-1007" in text


def test_extensions(root: Path, table: pd.DataFrame) -> None:
    (root / "0.png").rename(root / "0.jpg")
    (root / "1.png").rename(root / "1.unknown")
    draw(2).save(root / "2.PNG", "png")
    df = table.assign(path=["0.jpg", "1.unknown", "2.PNG", *table["path"][3:]])
    report = check(df, root)
    assert find(report) == {"extension": [0, 1]}
    assert "not that of the content: 1 x .jpg on PNG, 1 x .unknown on PNG. Wrong in 2" in report.warnings[0].message
    assert report.errors == []


def test_datasets_of_sounds_need_the_right_extension(tmp_path: Path, table: pd.DataFrame) -> None:
    soundfile = pytest.importorskip("soundfile")
    for i in range(8):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 160), 16000)
    soundfile.write(tmp_path / "0.flac", np.zeros(160), 16000)
    (tmp_path / "0.flac").rename(tmp_path / "0.wav")
    report = check(table.assign(path=[f"{i}.wav" for i in range(8)]), tmp_path)
    assert [(f.rule, f.rows.tolist()) for f in report.errors] == [("extension", [0])]
    assert "1 x .wav on FLAC. Wrong in 1 of 8 rows" in report.errors[0].message
    assert report.errors[0].message.endswith("Rename them: datasets of sounds refuse them.")


def test_no_file_is_there(tmp_path: Path, table: pd.DataFrame) -> None:
    assert find(check(table, tmp_path)) == {"path": list(range(8))}


def test_leaks(root: Path, table: pd.DataFrame) -> None:
    (root / "4.png").write_bytes((root / "1.png").read_bytes())
    draw(2).resize((50, 50)).save(root / "5.jpg", quality=70)
    report = check(table.assign(path=[*table["path"][:5], "5.jpg", "6.png", "7.png"]), root)
    assert find(report) == {"label_conflict": [1, 4], "duplicate": [4], "near_duplicate": [5]}
    assert "The first pairs: 4 and 1." in report.warnings[1].message
    assert "The first pairs: 5 and 2." in report.warnings[2].message
    boxed = table.assign(x_1=0, x_2=[5, 6, 7, 8, 9, 5, 5, 5], y_1=0, y_2=9, path=[*table["path"][:4], *["1.png"] * 4])
    boxed.loc[6, "x_2"] = 6
    assert find(check(boxed, root)) == {"duplicate": [6]}  # other boxes of one picture are other items


def test_progress_is_shown_of_files_only(root: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    check_dataset(table, root)
    assert "8/8" in capsys.readouterr().err
    check_dataset(table.drop(columns="path").assign(text=list("abcdefgh")))
    assert capsys.readouterr().err == ""


def test_leaks_of_texts(table: pd.DataFrame) -> None:
    df = table.drop(columns="path").assign(text=list("abcdefbg"))
    assert find(check(df)) == {"duplicate": [6]}


@pytest.mark.parametrize("column", ["path", "is_query", "category", "text", "start_time"])
def test_nested_cells_are_found_beside_all_else(root: Path, table: pd.DataFrame, column: str) -> None:
    (root / "1.png").write_bytes(b"broken")
    cells = table[column] if column in table.columns else pd.Series(["1"] * 8)
    df = table.assign(**{column: [*cells[:6], ["a"], {"b": 1}]})
    report = check(df, root, embeddings=torch.rand(8, 2))
    assert report.get_rows("nested") == [6, 7]
    assert report.get_rows("broken_file") == [1]


def test_singletons_and_long_tail(root: Path, table: pd.DataFrame) -> None:
    report = check(table.assign(label=[0, 0, 0, 1, 2, 2, 3, 3]), root)
    assert find(report) == {"singleton": [3]}
    assert "a label of the train split has this item only. Wrong in 1 of 8 rows" in report.warnings[0].message
    many = pd.concat([table[:1]] * 50 + [table[:4]], ignore_index=True)
    many["label"] = [0] * 50 + [1, 1, 2, 2]
    report = check(many, root, check_files=False)
    assert find(report) == {"long_tail": []}
    assert "the most frequent label has 50 items, the middle one 2." in report.warnings[0].message


def test_start_times(tmp_path: Path, table: pd.DataFrame) -> None:
    soundfile = pytest.importorskip("soundfile")
    for i in range(8):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 1600), 16000)
    df = table.assign(path=[f"{i}.wav" for i in range(8)], start_time=[0.0, 0.05, None, 0.1, 0.2, 0, 0, -1])
    report = check(df, tmp_path)
    assert [(f.rule, f.rows.tolist()) for f in report.findings] == [("start_time", [7]), ("start_time", [3, 4])]
    assert "the sound ends before it starts" in report.errors[1].message


def test_embeddings(root: Path, table: pd.DataFrame, generator: torch.Generator) -> None:
    df = pd.concat([table] * 10, ignore_index=True)
    embeddings = torch.eye(8)[df["label"].tolist()] + 0.05 * torch.randn(80, 8, generator=generator)
    embeddings[5] = torch.eye(8)[3]  # of label 2
    embeddings[14] = embeddings[9]  # a validation item at a training item: label 3 at label 0
    report = check(df, root, embeddings=embeddings, check_files=False)
    assert find(report) == {"near_duplicate": [14], "label_suspect": [5, 14]}
    assert "Look at them: 5 may be 3, 14 may be 0." in report.warnings[1].message
    for wrong, message in [(torch.zeros(3, 2), r"\(N, D\) with a row for each of the 80 rows .* got \(3, 2\)")]:
        with pytest.raises(InvalidInputError, match=message):
            check(df, root, embeddings=wrong, check_files=False)
    with pytest.raises(InvalidInputError, match="must be finite"):
        check(df, root, embeddings=np.full((80, 2), np.nan), check_files=False)


@pytest.mark.parametrize("labels", [list("aabbccdd"), [["a"], ["a", "b"], ["b"], ["b"], ["c"], ["c"], ["d"], ["d"]]])
def test_labels_of_any_kind(root: Path, table: pd.DataFrame, labels: list) -> None:
    df = table.assign(label=labels)
    assert check(df, root, embeddings=torch.rand(8, 2)).errors == []
    assert "label" in find(check(df.assign(label=[None, *labels[1:]]), root))


@pytest.mark.parametrize("drop", [["label"], ["split"], ["path"], ["is_query", "label", "split"]])
def test_missing_columns(root: Path, table: pd.DataFrame, drop: list[str]) -> None:
    report = check(table.drop(columns=drop), root)
    assert {finding.rule for finding in report.errors} == {"columns"}
    assert [f.rule for f in check(pd.concat([table, table[["path"]]], axis=1), root).errors] == ["columns"]
    assert check(table[:0], root).findings == []


def test_command(root: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    path = root / "df.parquet"
    table.to_parquet(path)
    assert main(["check", str(path)]) == 0
    table.assign(category=list("aabcaaaa")).to_csv(root / "df.csv", index=False, sep=";")
    arguments = ["check", str(root / "df.csv"), "--sep", ";"]
    assert main(arguments) == 0
    assert "warning [category]" in capsys.readouterr().out
    assert main([*arguments, "--strict"]) == 1
    for name in ("e.npy", "e.pt"):
        np.save(root / name, np.eye(8)) if "npy" in name else torch.save(torch.eye(8), root / name)
        assert main([*arguments, "--embeddings", str(root / name), "--no-files", "--workers", "1"]) == 0
    (root / "sub").mkdir()
    outside = table.assign(path=[f"../{p}" for p in table["path"]])
    outside.to_csv(root / "sub" / "df.csv", index=False)
    capsys.readouterr()
    assert main(["check", str(root / "sub" / "df.csv")]) == 1
    assert "[path_outside_root] Column 'path': must not lead out of the folder" in capsys.readouterr().out
    assert main(["check", str(root / "sub" / "df.csv"), "--allow-outside-root"]) == 0
    (root / "text.pt").write_text("x")
    (root / "text.npy").write_text("x")
    torch.save({"a": 1}, root / "dict.pt")
    for name in ("text.pt", "text.npy", "dict.pt"):
        assert main([*arguments, "--embeddings", str(root / name)]) == 1
        assert f"{name} must hold one array, written by `numpy.save`" in capsys.readouterr().err
    assert main(["check", str(root / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    assert main(["check", str(path), "--workers", "0"]) == 1
    assert "--workers must be positive, got 0" in capsys.readouterr().err


def test_ranges() -> None:
    assert show_ranges(np.array([3])) == "3"
    assert show_ranges([]) == ""
    assert show_ranges([1, 3, 4]) == "1, 3-4"
