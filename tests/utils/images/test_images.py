from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from oml.errors import InvalidInputError
from oml.utils.images.images import (
    clip_bbox,
    draw_bbox,
    figure_to_nparray,
    find_broken_images,
    imread_cv2,
    imread_pillow,
    square_pad,
    tensor_to_numpy_image,
    try_to_open_image,
)


def make_gradient(height: int = 6, width: int = 9) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 20, columns * 20, 0 * rows + 200], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_path_text_and_bytes_give_the_same_pixels_in_both_readers(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"image.{extension}"
    Image.fromarray(make_gradient()).save(path)

    pixels = imread_cv2(path)
    assert pixels.shape == (6, 9, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    for source in (path, str(path), path.read_bytes()):
        image = imread_pillow(source)
        assert isinstance(image, Image.Image)
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)
        assert np.array_equal(imread_cv2(source), pixels)
    if extension == "png":
        assert np.array_equal(pixels, make_gradient())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = make_gradient()
    # how a camera stores the upright picture for each orientation, by the definition of the tag in EXIF
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for extension, options in (("png", {}), ("tiff", {}), ("webp", {"lossless": True, "exact": True})):
        path = tmp_path / f"image.{extension}"
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
        assert np.array_equal(imread_cv2(path), upright)

    path = tmp_path / "image.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100, subsampling=0)
    assert np.abs(imread_cv2(path).astype(int) - upright).max() < 8  # what the compression costs


@pytest.mark.parametrize(("extension", "keys"), [("jpg", {"xmp"}), ("png", {"xmp", "XML:com.adobe.xmp"})])
def test_orientation_in_xmp_is_applied(tmp_path: Path, extension: str, keys: set[str]) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    options = {"xmp": xmp} if extension == "jpg" else {"pnginfo": info}
    path = tmp_path / f"image.{extension}"
    Image.new("RGB", (9, 6)).save(path, **options)
    with Image.open(path) as image:
        assert keys & image.info.keys()
    assert imread_pillow(path).size == (6, 9)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    pixels = make_gradient()
    alpha = np.zeros((6, 9, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=-1)).save(tmp_path / "rgba.png")
    assert np.array_equal(imread_cv2(tmp_path / "rgba.png"), pixels)

    grey_alpha = np.concatenate([pixels[:, :, :1], alpha], axis=-1)
    Image.fromarray(grey_alpha, mode=None).save(tmp_path / "la.png")
    assert np.array_equal(imread_cv2(tmp_path / "la.png"), np.repeat(pixels[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_is_said_so_without_addresses_in_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.png").write_bytes(content)
    for source in (content, tmp_path / "image.png"):
        with pytest.raises(OSError, match=r"^its content is of no known picture format$"):
            imread_pillow(source)


@pytest.mark.parametrize("transparency", [None, b"\x00\x80", 0])
def test_palette_becomes_its_colours(tmp_path: Path, transparency: bytes | int | None) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    extra = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "palette.png", **extra)
    assert imread_cv2(tmp_path / "palette.png").tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_greyscale_and_cmyk_become_rgb(tmp_path: Path) -> None:
    grey = make_gradient()[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(imread_cv2(tmp_path / "grey.png"), np.repeat(grey[:, :, None], 3, axis=2))

    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")  # no cyan, full magenta and yellow
    assert np.abs(imread_cv2(tmp_path / "red.jpg").astype(int) - (255, 0, 0)).max() <= 3

    Image.new("1", (2, 1), 1).save(tmp_path / "bit.png")
    assert imread_cv2(tmp_path / "bit.png").tolist() == [[[255] * 3] * 2]


def test_16_bit_greyscale_keeps_its_upper_bits(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert imread_cv2(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (3, 3), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert imread_cv2(tmp_path / "moving.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("source", [None, 3, np.zeros((2, 2, 3)), BytesIO()])
def test_other_sources_are_refused(source: object) -> None:
    with pytest.raises(TypeError, match=f"`im_src` must be a path or bytes of a file, got {type(source).__name__}"):
        imread_pillow(source)  # type: ignore[arg-type]


def write_broken_files(folder: Path) -> dict[str, Path]:
    buffer = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "png")
    png = buffer.getvalue()
    Image.fromarray(noise).save(jpg_buffer := BytesIO(), "jpeg")
    jpg = jpg_buffer.getvalue()
    contents = {
        "half.jpg": jpg[: len(jpg) // 2],
        "half.png": png[: len(png) // 2],
        "damaged.png": png[:60] + bytes(40) + png[100:],
        "header.png": png[:20],
        "empty.jpg": b"",
        "text.jpg": b"I am not a picture",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "damaged.png", "header.png", "empty.jpg", "text.jpg"])
def test_damaged_files_raise_os_error(tmp_path: Path, name: str) -> None:
    path = write_broken_files(tmp_path)[name]
    for source in (path, path.read_bytes()):
        with pytest.raises(OSError, match=r"(?i)truncated|cannot decode|no known picture|broken|unrecognized"):
            imread_pillow(source)
    assert not try_to_open_image(path)


def test_bombs_raise_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(OSError, match=r"cannot decode the picture: .*decompression bomb"):
        imread_pillow(tmp_path / "big.png")


@pytest.mark.parametrize("num_processes", [1, 3])
def test_broken_images_are_listed_in_order(tmp_path: Path, num_processes: int) -> None:
    broken = list(write_broken_files(tmp_path).values())
    Image.fromarray(make_gradient()).save(tmp_path / "fine.png")
    fine, missing = tmp_path / "fine.png", tmp_path / "missing.png"

    mixed = [fine, *broken[:3], fine, str(missing), *broken[3:], fine]
    expected = [*broken[:3], str(missing), *broken[3:]]
    assert find_broken_images(mixed, imread_pillow, num_processes) == expected
    assert find_broken_images(mixed, imread_cv2, num_processes) == expected
    assert find_broken_images([fine] * 40, lambda path: imread_pillow(path), num_processes) == []
    assert find_broken_images([], imread_pillow, num_processes) == []


def test_reader_that_gives_none_means_broken(tmp_path: Path) -> None:
    assert find_broken_images(["a", "b"], lambda path: None if path == "b" else np.zeros(1)) == ["b"]  # type: ignore[arg-type,return-value]


def test_errors_of_other_kinds_are_not_hidden() -> None:
    def reader_with_a_bug(path: object) -> np.ndarray:
        raise AttributeError("a bug")

    with pytest.raises(AttributeError, match="a bug"):
        find_broken_images(["a"], reader_with_a_bug)


def test_number_of_processes_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="`num_processes` must be at least 1, got 0"):
        find_broken_images([], imread_pillow, 0)


@pytest.mark.parametrize(("size", "thickness"), [((32, 32), 3), ((200, 400), 15), ((2, 2), 3), ((1, 1), 3)])
def test_frame_around_the_whole_picture(size: tuple[int, int], thickness: int) -> None:
    height, width = size
    source = np.full((height, width, 3), 9, dtype=np.uint8)
    framed = draw_bbox(source, (0, 0, width, height), (255, 0, 0))

    expected = np.empty_like(source)
    for y in range(height):
        for x in range(width):
            on_frame = min(y, x, height - 1 - y, width - 1 - x) < thickness
            expected[y, x] = (255, 0, 0) if on_frame else 9
    assert np.array_equal(framed, expected)
    assert (source == 9).all()


def test_frame_of_a_box_that_sticks_out() -> None:
    framed = draw_bbox(np.zeros((40, 40, 3), dtype=np.uint8), (20, -10, 90, 15), (1, 2, 3))
    painted = framed.any(axis=-1)
    assert painted[:15, 20:].sum() == painted.sum() > 0
    assert not painted[5, 30]
    assert not draw_bbox(np.zeros((4, 4, 3), dtype=np.uint8), (7, 7, 9, 9), (1, 2, 3)).any()


@given(bbox=st.tuples(*[st.integers(-30, 60)] * 4), width=st.integers(0, 30), height=st.integers(0, 30))
def test_clipped_box_lies_inside(bbox: tuple[int, int, int, int], width: int, height: int) -> None:
    left, top, right, bottom = clip_bbox(bbox, width, height)
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    inside = {
        (x, y) for x in range(bbox[0], bbox[2]) for y in range(bbox[1], bbox[3]) if 0 <= x < width and 0 <= y < height
    }
    assert len(inside) == (right - left) * (bottom - top)


@pytest.mark.parametrize("shape", [(3, 6, 3), (6, 3, 3), (5, 5, 3), (4, 7), (1, 1)])
def test_square_pad_keeps_the_picture_in_the_middle(shape: tuple[int, ...]) -> None:
    padded = square_pad(np.zeros(shape, dtype=np.uint8))
    assert padded.shape == (max(shape[:2]), max(shape[:2]), *shape[2:])
    assert (padded == 0).sum() == np.prod(shape)
    rows = np.flatnonzero((padded.reshape(len(padded), -1) == 0).any(axis=1))
    assert abs(rows[0] - (len(padded) - 1 - rows[-1])) <= 1


def test_tensor_to_numpy_image() -> None:
    source = torch.rand(3, 4, 5)
    image = tensor_to_numpy_image(source)
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    assert np.abs(image / 255 - source.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6

    normalised = tensor_to_numpy_image(torch.tensor([-2.0, 0.0, 2.0]).view(3, 1, 1).requires_grad_())
    assert normalised.tolist() == [[[0, 128, 255]]]
    assert tensor_to_numpy_image(torch.full((1, 1, 1), 5.0)).tolist() == [[[0]]]
    as_is = torch.randint(0, 255, (3, 2, 2), dtype=torch.uint8)
    assert np.array_equal(tensor_to_numpy_image(as_is), as_is.permute(1, 2, 0).numpy())
    assert tensor_to_numpy_image(torch.zeros(3, 0, 2)).shape == (0, 2, 3)
    with pytest.raises(InvalidInputError, match=r"shape \(C, H, W\), got \(1, 3, 2, 2\): take one item"):
        tensor_to_numpy_image(torch.zeros(1, 3, 2, 2))


def test_figure_to_nparray_shows_the_figure_and_leaves_its_canvas() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=20, facecolor="red")
    canvas = figure.canvas
    image = figure_to_nparray(figure)
    assert image.shape == (20, 20, 3)
    assert (image == (255, 0, 0)).all()
    assert figure.canvas is canvas
