import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oml.utils.checks import files
from oml.utils.checks.files import calc_looks, inspect_chunk, inspect_files, shrink
from tests.utils.checks.conftest import draw


def look(image: Image.Image) -> np.ndarray:
    return calc_looks(shrink([image]))[0]


def test_looks_by_a_plain_loop() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8)
    for picture, looks in zip(pixels, calc_looks(pixels), strict=True):
        places = [(i, j) for i in range(1, 9) for j in range(1, 9)]
        across = [picture[i, j] > picture[i, j - 1] for i, j in places]
        down = [picture[i, j] > picture[i - 1, j] for i, j in places]
        assert np.unpackbits(looks.view(np.uint8)).tolist() == [*across, *down]


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (5, 7), (400, 300)])
def test_pictures_shrunk_at_once_look_like_each_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    pictures = [Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for _ in range(70)]
    box = Image.Resampling.BOX
    alone = [np.asarray(p.convert("L").resize((9, size[1]), box).resize((9, 9), box)) for p in pictures]
    assert np.array_equal(shrink(pictures), np.stack(alone))
    for i, picture in enumerate(pictures):
        (picture.convert("L") if i % 3 == 0 else picture).save(tmp_path / f"{i}.png")  # stacks of two modes
    (tmp_path / "5.png").write_bytes(b"broken")
    alone[5] = np.zeros((9, 9), dtype=np.uint8)
    looks = inspect_chunk([str(tmp_path / f"{i}.png") for i in range(70)]).records["looks"]
    assert np.array_equal(looks, calc_looks(np.stack(alone)))


def test_what_is_found(root: Path) -> None:
    draw(0, side=100).crop((0, 0, 100, 50)).save(root / "wide.jpg")
    facts = inspect_files([str(root / "0.png"), str(root / "wide.jpg")])
    assert facts.records["is_read"].tolist() == [True, True]
    assert facts.records["format"].tolist() == ["PNG", "JPEG"]
    assert facts.records[["width", "height"]].tolist() == [(64, 64), (100, 50)]
    digest = hashlib.blake2b((root / "0.png").read_bytes(), digest_size=16).digest()
    assert facts.records["content"][0].tobytes() == digest
    assert facts.errors == {}


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "empty.jpg", "text.png", "missing.png", "folder.png"])
def test_broken_files(root: Path, name: str) -> None:
    path = root / name
    if name.startswith("half"):
        buffer = io.BytesIO()
        draw(0, side=400).save(buffer, "jpeg" if "jpg" in name else "png")
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 9 // 10])
    elif name.startswith("folder"):
        path.mkdir()
    elif not name.startswith("missing"):
        path.write_text("x" if name.startswith("text") else "")
    facts = inspect_chunk([str(root / "0.png"), str(path)])
    assert facts.records["is_read"].tolist() == [True, False]
    words = ["truncated", "no known picture", "no such file", "directory"]
    names = [("half.jpg", "half.png"), ("empty.jpg", "text.png"), ("missing.png",), ("folder.png",)]
    expected = next(word for word, of in zip(words, names, strict=True) if name in of)
    assert expected in facts.errors[1]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright_size_and_looks(root: Path, orientation: int) -> None:
    upright = draw(1, side=90).crop((0, 0, 90, 60))
    turn = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.rotate(turn, expand=True).save(root / "photo.jpg", exif=exif, quality=95)
    upright.save(root / "upright.png")
    records = inspect_files([str(root / "photo.jpg"), str(root / "upright.png")]).records
    assert records[["width", "height"]].tolist() == [(90, 60)] * 2
    assert np.bitwise_count(records["looks"][0] ^ records["looks"][1]).sum() <= 4


def test_looks_survive_resizing_and_compression() -> None:
    def difference(one: Image.Image, other: Image.Image) -> int:
        return int(np.bitwise_count(look(one) ^ look(other)).sum())

    for seed in range(20):
        picture = draw(seed, side=128)
        buffer = io.BytesIO()
        picture.resize((80, 80)).save(buffer, "jpeg", quality=60)
        assert difference(picture, Image.open(buffer)) <= 10
        assert difference(picture, draw(seed + 100, side=128)) > 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pictures_of_any_mode(tmp_path: Path, mode: str) -> None:
    picture = draw(3)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) << 8)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    picture.save(path, **({"transparency": b"\x00\x80"} if mode == "P" else {}))
    records = inspect_files([str(path)]).records
    assert records["is_read"].all()
    if mode not in ("1", "P"):
        assert np.bitwise_count(records["looks"][0] ^ look(draw(3))).sum() <= 6


def test_several_processes_give_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK", 3)
    monkeypatch.setattr(files, "MIN_FILES", 4)
    paths = [str(root / f"{i}.png") for i in range(10)]  # the last two are missing
    one, two = inspect_files(paths, n_workers=1), inspect_files(paths, n_workers=2)
    assert one.records.tobytes() == two.records.tobytes()
    assert one.errors == two.errors == {8: "there is no such file", 9: "there is no such file"}
    assert len(inspect_files([]).records) == 0


def test_sounds(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    for name in ("a.wav", "a.flac", "a.ogg"):
        soundfile.write(tmp_path / name, noise, 16000)
    soundfile.write(tmp_path / "none.wav", noise[:0], 16000)
    for name in ("a.wav", "a.mp3"):
        soundfile.write(tmp_path / name, noise, 16000)
        (tmp_path / f"half_{name}").write_bytes((tmp_path / name).read_bytes()[:1500])
    (tmp_path / "half.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:3000])
    (tmp_path / "text.wav").write_text("no sound")
    facts = inspect_files([str(tmp_path / name) for name in ("a.wav", "a.flac", "a.ogg", "half.flac", "text.wav")])
    assert facts.records["format"].tolist() == ["WAV", "FLAC", "OGG", "", ""]
    assert facts.records["seconds"].tolist() == [0.5, 0.5, 0.5, 0, 0]
    assert set(facts.errors) == {3, 4}
    assert "cannot decode the sound" in facts.errors[4]
    cut = ["half_a.wav", "half_a.mp3", "none.wav"]
    facts = inspect_chunk([str(tmp_path / name) for name in cut])
    messages = [r"breaks off after 14\d\d of 16000 bytes", r"breaks off after \d+ of 8000 samples", "has no samples"]
    assert all(re.search(message, facts.errors[i]) for i, message in enumerate(messages))


def test_a_sound_whose_header_was_written_before_its_end(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
    assert inspect_chunk([str(tmp_path / "a.wav")]).records["seconds"].tolist() == [100 / 16000]
