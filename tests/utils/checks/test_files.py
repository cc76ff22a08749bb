import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oml.utils.checks import files
from oml.utils.checks.files import FileFacts, inspect_chunk, inspect_files
from oml.utils.checks.pictures import calc_looks, inspect_image, shrink
from oml.utils.images.images import imread_pillow
from oml.utils.images.pillow import DECODER_ERRORS
from tests.utils.checks.conftest import draw


def inspect(paths: list, folder: str = "", n_workers: int | None = None) -> FileFacts:
    with inspect_files(paths, folder, n_workers) as wait:
        return wait()


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
    facts = inspect([str(root / "0.png"), str(root / "wide.jpg")])
    assert facts.records["is_read"].tolist() == [True, True]
    assert facts.records["format"].tolist() == ["PNG", "JPEG"]
    assert facts.records[["width", "height"]].tolist() == [(64, 64), (100, 50)]
    digest = hashlib.blake2b((root / "0.png").read_bytes(), digest_size=16).digest()
    assert facts.records["content"][0].tobytes() == digest
    assert facts.errors == {}


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "empty.jpg", "text.png"])
def test_broken_files(root: Path, name: str) -> None:
    path = root / name
    if name.startswith("half"):
        buffer = io.BytesIO()
        draw(0, side=400).save(buffer, "jpeg" if "jpg" in name else "png")
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 9 // 10])
    else:
        path.write_text("x" if name.startswith("text") else "")
    facts = inspect_chunk([str(root / "0.png"), str(path)])
    assert facts.records["is_there"].tolist() == [True, True]
    assert facts.records["is_read"].tolist() == [True, False]
    assert ("truncated" if name.startswith("half") else "no known picture") in facts.errors[1]


def test_missing_files(root: Path) -> None:
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")  # reading it would wait for ever
    (root / "link.png").symlink_to("nowhere.png")
    (root / "fine.png").symlink_to("0.png")
    paths = ["none.png", "folder.png", "pipe.png", "link.png", "no/ne.png", "0.png/x", "a\0b", "x" * 300, "", None, 3]
    facts = inspect_chunk([*paths, "fine.png", Path("1.png"), str(root / "2.png")], str(root))
    assert facts.records["is_there"].tolist() == [False] * len(paths) + [True] * 3
    assert facts.records["is_read"].tolist() == facts.records["is_there"].tolist()
    assert facts.errors == {}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_fraction_of_the_pixels_finds_what_all_of_them_find(mode: str, options: dict) -> None:
    buffer = io.BytesIO()
    draw(0, side=96).convert(mode).save(buffer, "jpeg", quality=90, **options)
    content, rng = buffer.getvalue(), np.random.default_rng(0)
    start = content.index(b"\xff\xda")
    verdicts = []
    for stop in [*range(start, len(content), 61), len(content) - 3, len(content) - 2]:
        verdicts.append(compare(content[:stop]))
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] = rng.integers(256)
        verdicts.append(compare(bytes(damaged)))
    assert len(verdicts) > len(set(verdicts)) == 2


def compare(content: bytes) -> bool:
    """Whether a content can be read; all of its pixels and a part of them give the same answer."""
    verdicts = []
    for read in (imread_pillow, inspect_image):
        try:
            read(content)
            verdicts.append(True)
        except (OSError, *DECODER_ERRORS):
            verdicts.append(False)
    assert verdicts[0] == verdicts[1]
    return verdicts[0]


def test_looks_of_a_draft_that_ends_within_a_pixel() -> None:
    buffer = io.BytesIO()
    draw(4, side=500).crop((0, 0, 219, 499)).save(buffer, "jpeg")
    draft = Image.open(buffer)
    draft.draft("L", (32, 32))
    assert draft.size == (55, 125)
    pixels = np.asarray(inspect_image(buffer.getvalue())[1])
    assert np.array_equal(pixels, shrink([draft], (219 / 4, 499 / 4))[0])
    cropped = draft.crop((0, 0, 54, 124))
    assert np.array_equal(shrink([draft], cropped.size), shrink([cropped]))
    assert np.bitwise_count(calc_looks(pixels[None])[0] ^ look(Image.open(buffer))).sum() <= 4


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright_size_and_looks(root: Path, orientation: int) -> None:
    upright = draw(1, side=90).crop((0, 0, 90, 60))
    turn = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright.rotate(turn, expand=True)
    turned.save(root / "photo.jpg", exif=exif, quality=95)
    turned.save(root / "photo.tif", exif=exif)
    turned.save(root / "xmp.jpg", quality=95, xmp=b'<x tiff:Orientation="%d"/>' % orientation)
    upright.save(root / "upright.png")
    records = inspect(["upright.png", "photo.jpg", "photo.tif", "xmp.jpg"], str(root)).records
    assert records[["width", "height"]].tolist() == [(90, 60)] * 4
    assert np.bitwise_count(records["looks"][:1] ^ records["looks"]).sum(axis=1).max() <= 4


def test_looks_survive_resizing_and_compression() -> None:
    def difference(one: Image.Image, other: Image.Image) -> int:
        return int(np.bitwise_count(look(one) ^ look(other)).sum())

    for seed in range(20):
        picture = draw(seed, side=128)
        buffer = io.BytesIO()
        picture.resize((80, 80)).save(buffer, "jpeg", quality=60)
        assert difference(picture, Image.open(buffer)) <= 10
        assert difference(picture, draw(seed + 100, side=128)) > 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16"])
def test_pictures_of_any_mode(tmp_path: Path, mode: str) -> None:
    picture = draw(3)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) << 8)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("x.tif" if mode in ("CMYK", "LAB") else "x.png")
    picture.save(path, **({"transparency": b"\x00\x80"} if mode == "P" else {}))
    records = inspect([str(path)]).records
    assert records["is_read"].all()
    if mode not in ("1", "P"):
        assert np.bitwise_count(records["looks"][0] ^ look(draw(3))).sum() <= 6


def test_several_processes_give_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK", 3)
    monkeypatch.setattr(files, "MIN_FILES", 4)
    (root / "9.png").write_bytes(b"broken")
    paths = [f"{i}.png" for i in range(10)]  # 8 is missing
    one, two = inspect(paths, str(root), n_workers=1), inspect(paths, str(root), n_workers=2)
    assert one.records.tobytes() == two.records.tobytes()
    assert one.records["is_there"].tolist() == [True] * 8 + [False, True]
    assert one.errors == two.errors == {9: "its content is of no known picture format"}
    assert len(inspect([]).records) == 0


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
    facts = inspect([str(tmp_path / name) for name in ("a.wav", "a.flac", "a.ogg", "half.flac", "text.wav")])
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
