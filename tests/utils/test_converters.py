"""Converters on miniature copies of the real layouts: the same files, columns, headers and fields, a few rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oml.cli.convert import CONVERTERS, get_converter
from oml.cli.main import main
from oml.datasets import get_retrieval_datasets
from oml.errors import InvalidInputError
from oml.utils.converters.cars196 import build_cars196_df
from oml.utils.converters.cub import build_cub_df
from oml.utils.converters.inshop import build_inshop_df, scale_boxes
from oml.utils.converters.sop import build_sop_df
from oml.utils.dataframe_format import check_retrieval_dataframe_format

INCOMPLETE = "ignore:The data set .* has .* but here are:UserWarning"


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), "red").save(path)


def write_cub(root: Path) -> None:
    names = [(1, "001.Black_footed_Albatross/a_1.jpg"), (1, "001.Black_footed_Albatross/a_2.jpg")]
    names += [(101, "101.White_Pelican/b_1.jpg"), (101, "101.White_Pelican/b_2.jpg")]
    rows = list(enumerate(names, start=1))
    (root / "images.txt").write_text("".join(f"{i} {name}\n" for i, (_, name) in rows))
    (root / "image_class_labels.txt").write_text("".join(f"{i} {label}\n" for i, (label, _) in rows))
    (root / "train_test_split.txt").write_text("".join(f"{i} {i % 2}\n" for i, _ in rows))
    (root / "bounding_boxes.txt").write_text("".join(f"{i} {i}.0 5.0 30.0 20.0\n" for i, _ in rows))
    for _, name in names:
        draw(root / "images" / name)


def write_cars196(root: Path) -> None:
    from scipy.io import savemat

    fields = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]

    def write(path: Path, labels: list[int]) -> None:
        rows = [(5, 6, 40, 30 + i, label, f"{i + 1:05}.jpg") for i, label in enumerate(labels)]
        annotations = np.array([rows], dtype=fields) if rows else np.zeros((1, 0), dtype=fields)
        savemat(path, {"annotations": annotations})

    (root / "devkit").mkdir()
    savemat(
        root / "devkit" / "cars_meta.mat", {"class_names": np.array([[f"Car {i}" for i in range(196)]], dtype=object)}
    )
    write(root / "devkit" / "cars_train_annos.mat", [14, 14, 120])
    write(root / "cars_test_annos_withlabels.mat", [14, 120])
    for name in ("cars_train/00001", "cars_train/00002", "cars_train/00003", "cars_test/00001", "cars_test/00002"):
        draw(root / f"{name}.jpg")


def write_sop(root: Path) -> None:
    header = "image_id class_id super_class_id path\n"
    (root / "Ebay_train.txt").write_text(f"{header}1 1 1 bicycle_final/111_0.JPG\n2 1 1 bicycle_final/111_1.JPG\n")
    (root / "Ebay_test.txt").write_text(f"{header}3 11319 1 bicycle_final/22_0.JPG\n4 11319 1 bicycle_final/22_1.JPG\n")
    for name in ("111_0", "111_1", "22_0", "22_1"):
        draw(root / "bicycle_final" / f"{name}.JPG")


def write_inshop(root: Path) -> None:
    rows = [
        ("WOMEN/Dresses/id_00000002/02_1_front.jpg", "train"),
        ("WOMEN/Dresses/id_00000002/02_2_side.jpg", "train"),
        ("MEN/Denim/id_00000004/01_1_front.jpg", "train"),  # a single picture
        ("MEN/Denim/id_00000080/01_1_front.jpg", "query"),
        ("MEN/Denim/id_00000080/01_4_full.jpg", "gallery"),
    ]
    partition = [f"img/{name}   {name.split('/')[2]}      {status}" for name, status in rows]
    boxes = [f"img/{name}   1   2   00{i + 1} 002 040 045" for i, (name, _) in enumerate(rows)]
    (root / "list_eval_partition.txt").write_text(
        f"{len(rows)}\nimage_name   item_id   evaluation_status\n" + "\n".join(partition) + "\n"
    )
    (root / "list_bbox_inshop.txt").write_text(
        f"{len(rows)}\nimage_name   clothes_type   pose_type   x_1 y_1 x_2 y_2\n" + "\n".join(reversed(boxes)) + "\n"
    )
    for name, _ in rows:
        draw(root / "img_highres" / name)


WRITERS: dict[str, Callable[[Path], None]] = {
    "cub": write_cub,
    "cars196": write_cars196,
    "sop": write_sop,
    "inshop": write_inshop,
}


@pytest.fixture(params=WRITERS)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    WRITERS[request.param](tmp_path)
    return request.param, tmp_path


def take(df: pd.DataFrame, *columns: str) -> list[Any]:
    return list(df[list(columns)].itertuples(index=False, name=None))


@pytest.mark.filterwarnings(INCOMPLETE)
def test_cub(tmp_path: Path) -> None:
    write_cub(tmp_path)
    df = build_cub_df(tmp_path, False, is_complete=False)
    assert take(df, "label", "split", "x_1", "x_2", "y_1", "y_2") == [
        (1, "train", 1, 31, 5, 25),
        (1, "validation", 2, 32, 5, 25),
        (101, "train", 3, 33, 5, 25),
        (101, "validation", 4, 34, 5, 25),
    ]
    assert df["path"][0] == "images/001.Black_footed_Albatross/a_1.jpg"
    assert df["is_query"].tolist() == df["is_gallery"].tolist() == [None, True, None, True]
    unseen = build_cub_df(tmp_path, True, protocol="unseen", is_complete=False)
    assert unseen["split"].tolist() == ["train", "train", "validation", "validation"]
    assert "x_1" not in unseen


@pytest.mark.filterwarnings(INCOMPLETE)
def test_cars196(tmp_path: Path) -> None:
    write_cars196(tmp_path)
    df = build_cars196_df(tmp_path, False, is_complete=False)
    assert take(df, "label", "path", "split", "x_1", "x_2", "y_1", "y_2") == [
        (14, "cars_train/00001.jpg", "train", 5, 40, 6, 30),
        (14, "cars_train/00002.jpg", "train", 5, 40, 6, 31),
        (120, "cars_train/00003.jpg", "train", 5, 40, 6, 32),
        (14, "cars_test/00001.jpg", "validation", 5, 40, 6, 30),
        (120, "cars_test/00002.jpg", "validation", 5, 40, 6, 31),
    ]
    unseen = build_cars196_df(tmp_path, True, protocol="unseen", is_complete=False)
    assert take(unseen, "label", "split")[2:4] == [(120, "validation"), (14, "train")]


@pytest.mark.filterwarnings(INCOMPLETE)
def test_sop(tmp_path: Path) -> None:
    write_sop(tmp_path)
    df = build_sop_df(tmp_path, is_complete=False)
    assert take(df, "label", "path", "split", "category") == [
        (1, "bicycle_final/111_0.JPG", "train", "bicycle_final"),
        (1, "bicycle_final/111_1.JPG", "train", "bicycle_final"),
        (11319, "bicycle_final/22_0.JPG", "validation", "bicycle_final"),
        (11319, "bicycle_final/22_1.JPG", "validation", "bicycle_final"),
    ]
    assert df["is_query"].tolist() == df["is_gallery"].tolist() == [None, None, True, True]


@pytest.mark.filterwarnings(INCOMPLETE)
@pytest.mark.parametrize("in_folders", [False, True])
def test_inshop(tmp_path: Path, in_folders: bool) -> None:
    write_inshop(tmp_path)
    if in_folders:
        for folder, name in (("Eval", "list_eval_partition.txt"), ("Anno", "list_bbox_inshop.txt")):
            (tmp_path / folder).mkdir()
            (tmp_path / name).rename(tmp_path / folder / name)
    df = build_inshop_df(tmp_path, False, is_complete=False)
    assert take(df, "label", "split", "is_query", "is_gallery", "category", "x_1", "x_2", "y_1", "y_2") == [
        (2, "train", None, None, "Dresses", 0, 10, 0, 3),
        (2, "train", None, None, "Dresses", 0, 10, 0, 3),
        (80, "validation", True, False, "Denim", 1, 10, 0, 3),
        (80, "validation", False, True, "Denim", 1, 10, 0, 3),
    ]
    assert df["path"][0] == "img_highres/WOMEN/Dresses/id_00000002/02_1_front.jpg"
    assert "x_1" not in build_inshop_df(tmp_path, True, is_complete=False)


def test_boxes_of_inshop_are_those_of_the_large_pictures(tmp_path: Path) -> None:
    sizes, boxes = [(150, 220), (220, 150), (256, 256), (150, 220)], [[16, 60, 33, 110]] * 3 + [[0, 2, 5, 200]]
    small = []
    for i, ((width, height), (x_1, x_2, y_1, y_2)) in enumerate(zip(sizes, boxes, strict=True)):
        large = Image.new("L", (width, height), 100)
        large.paste(255, (x_1, y_1, x_2, y_2))
        large.save(tmp_path / f"{i}.png")
        square = Image.new("L", (256, 256))  # as the small pictures are published: shrunk, in the middle
        scale = 256 / max(width, height)
        shrunk = large.resize((round(width * scale), round(height * scale)))
        square.paste(shrunk, ((256 - shrunk.width) // 2, (256 - shrunk.height) // 2))
        left, top, right, bottom = square.point(lambda value: 255 * (value > 180)).getbbox()
        small.append((f"{i}.png", left, right, top, bottom))
    df = pd.DataFrame([*small, ("0.png", 0, 20, 0, 256)], columns=["path", "x_1", "x_2", "y_1", "y_2"])
    scaled = scale_boxes(df, tmp_path)
    np.testing.assert_allclose(scaled[:4], boxes, atol=1)
    assert scaled[4:].isna().all(axis=None)  # in the margin
    assert scale_boxes(df[:0], tmp_path).shape == (0, 4)


@pytest.mark.parametrize("boxes", [[], ["--no-bboxes"]])
def test_command(copy: tuple[str, Path], boxes: list[str], capsys: pytest.CaptureFixture) -> None:
    name, root = copy
    with pytest.warns(UserWarning, match="Metrics on it cannot be compared with published ones"):
        assert main(["convert", name, str(root), "--allow-incomplete", *boxes]) == 0
    table = "df.csv" if boxes or name == "sop" else "df_with_bboxes.csv"
    assert f"The table is {root / table}" in capsys.readouterr().out
    assert sorted(path.name for path in root.glob("*.csv")) == [table]
    check_retrieval_dataframe_format(root / table, root)
    train, val = get_retrieval_datasets("images", root / table, root)
    assert len(train) > 0
    assert set(val[0]) >= {"input_tensors", "labels", "idx"}
    assert len(val.get_query_ids()) > 0


def test_other_numbers_are_an_error(copy: tuple[str, Path], capsys: pytest.CaptureFixture) -> None:
    name, root = copy
    assert main(["convert", name, str(root)]) == 1
    message = capsys.readouterr().err
    assert "--allow-incomplete" in message or "has 14218 queries, but" in message
    assert list(root.glob("*.csv")) == []


def test_missing_files_are_all_named(copy: tuple[str, Path]) -> None:
    name, root = copy
    texts = sorted(path for pattern in ("*.txt", "*.mat", "*/*.mat") for path in root.glob(pattern))
    for path in texts[:2]:
        path.unlink()
    with pytest.raises(AssertionError, match=f"lacks .*{texts[0].name}.*Unpack the data set there") as info:
        get_converter(name)(root)
    assert texts[1].name in str(info.value)


@pytest.mark.filterwarnings(INCOMPLETE)
def test_missing_pictures_are_named(copy: tuple[str, Path]) -> None:
    name, root = copy
    picture = sorted([*root.rglob("*.jpg"), *root.rglob("*.JPG")])[-1]
    picture.unlink()
    with pytest.raises(InvalidInputError, match=f"must be the path of an existing file.*{picture.name}"):
        get_converter(name)(root, is_complete=False)


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_cub(tmp_path)
    assert main(["convert", "cubs", str(tmp_path)]) == 1
    assert "Unknown data set 'cubs'. Did you mean 'cub'?" in capsys.readouterr().err
    assert main(["convert", "cub", str(tmp_path), "--protocol", "unsen"]) == 1
    assert "Unknown protocol 'unsen'. Did you mean 'unseen'?" in capsys.readouterr().err
    assert main(["convert", "sop", str(tmp_path), "--protocol", "unseen"]) == 1
    assert "sop has one protocol only; --protocol is for cub and cars196" in capsys.readouterr().err
    assert set(CONVERTERS) == set(WRITERS)


def test_other_contents(tmp_path: Path) -> None:
    (tmp_path / "inshop").mkdir()
    write_inshop(tmp_path / "inshop")
    path = tmp_path / "inshop" / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("query", "probe"))
    with pytest.raises(InvalidInputError, match=r"status must be one of train, query, gallery, got probe"):
        build_inshop_df(tmp_path / "inshop", is_complete=False)
    (tmp_path / "cars").mkdir()
    write_cars196(tmp_path / "cars")
    from scipy.io import savemat

    savemat(tmp_path / "cars" / "devkit" / "cars_meta.mat", {"class_names": np.array([["A", "B"]], dtype=object)})
    with pytest.raises(InvalidInputError, match=r"must be numbers of the 2 names in .*cars_meta\.mat, got 14 to 120"):
        build_cars196_df(tmp_path / "cars", is_complete=False)
    savemat(
        tmp_path / "cars" / "cars_test_annos_withlabels.mat",
        {"annotations": np.array([[(1,)]], dtype=[("fname", object)])},
    )
    with pytest.raises(InvalidInputError, match="lack the fields bbox_x1, bbox_x2, bbox_y1, bbox_y2, class"):
        build_cars196_df(tmp_path / "cars", is_complete=False)
