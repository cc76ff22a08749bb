"""
What lies in files: whether they can be decoded, of which format and size they are, what they look like.

Many files are read by several processes at once, which load nothing but the decoders.
"""

import gc
import hashlib
import multiprocessing
import os
import re
import struct
import sys
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from oml.const import AUDIO_EXTENSIONS

CHUNK = 256  # files given to a process at once
MIN_FILES = 2 * CHUNK  # starting processes does not pay for less
SIDE = 9  # pixels of the picture that looks are taken from
DRAFT_SIDE = 4 * SIDE  # a JPEG is decoded at a fraction of its size, but not below this
ORIENTATION = 0x0112
ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

AUDIO_ENDINGS = tuple(AUDIO_EXTENSIONS)
CUT_WAV = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # libsndfile notes and forgives it
UNKNOWN_SIZE = 2**32 - 1  # in headers that were written before the end was known
MAX_STACK = 32  # pictures shrunk at once
MAX_STACKED = 2**19  # their pixels
RECORD = np.dtype(
    [
        ("is_read", bool),
        ("format", "U8"),
        ("width", np.int32),  # of the upright picture
        ("height", np.int32),
        ("seconds", np.float64),  # of a sound
        ("content", np.uint64, 2),  # hash of the bytes
        ("looks", np.uint64, 2),  # 128 bits: whether each of 8 x 8 places is brighter than its left and its upper one
    ]
)
COLUMNS = ("is_read", "format", "width", "height", "seconds")
NOTHING = (False, "", 0, 0, 0.0, bytes(16))


class FileFacts(NamedTuple):
    """
    What was found in files.

    Attributes:
        records: (N,) of the type `RECORD`; zeros where a file could not be read.
        errors: Why, by position.

    """

    records: np.ndarray
    errors: dict[int, str]

    def take(self, codes: np.ndarray) -> np.ndarray:
        """Give the records of rows by their files' positions, zeros for -1: a row without a file."""
        rows: np.ndarray = np.append(self.records, np.zeros(1, dtype=RECORD))[codes]
        return rows


def inspect_files(paths: Sequence[str], n_workers: int | None = None, verbose: bool = False) -> FileFacts:
    """
    Read each file completely: pictures by Pillow, sounds (by their extension) by soundfile.

    Args:
        paths: Files. None give an empty answer.
        n_workers: Processes; all cores by default.
        verbose: Whether to show a progress bar.

    Example:
        >>> facts = inspect_files(["no/such/file.jpg"])
        >>> facts.records["is_read"].tolist(), facts.errors
        ([False], {0: 'there is no such file'})

    """
    if n_workers is None:
        n_workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    records, errors = [np.zeros(0, dtype=RECORD)], {}
    with (
        _start(n_workers if len(paths) >= MIN_FILES else 1) as run,
        tqdm(total=len(paths), desc="files", unit="file", disable=not verbose) as bar,
    ):
        for i, (found, failed) in enumerate(run(inspect_chunk, chunks)):
            records.append(found)
            errors.update({i * CHUNK + position: text for position, text in failed.items()})
            bar.update(len(found))
    return FileFacts(np.concatenate(records), errors)


def inspect_chunk(paths: Sequence[str]) -> FileFacts:
    """Read the files one after another."""
    records, errors = np.zeros(len(paths), dtype=RECORD), {}
    pixels = np.zeros((len(paths), SIDE, SIDE), dtype=np.uint8)
    rows: list[tuple[Any, ...]] = [NOTHING] * len(paths)
    stacks: dict[Any, dict[int, Image.Image]] = defaultdict(dict)
    for i, path in enumerate(paths):
        try:
            if path.lower().endswith(AUDIO_ENDINGS):
                rows[i] = inspect_audio(path)
            else:
                rows[i], image = inspect_image(path)
                stack = stacks[image.mode, image.size]
                stack[i] = image
                if len(stack) * image.width * image.height > MAX_STACKED or len(stack) == MAX_STACK:
                    _empty(stack, pixels)
        except FileNotFoundError:
            errors[i] = "there is no such file"
        except UnidentifiedImageError:
            errors[i] = "its content is of no known picture format"
        except ERRORS as error:
            errors[i] = str(error) or type(error).__name__
    for stack in stacks.values():
        _empty(stack, pixels)
    *columns, digests = zip(*rows, strict=True)
    for name, column in zip(COLUMNS, columns, strict=True):
        records[name] = column
    records["content"] = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)
    records["looks"] = calc_looks(pixels)
    return FileFacts(records, errors)


def _empty(stack: dict[int, Image.Image], pixels: np.ndarray) -> None:
    if stack:
        pixels[list(stack)] = shrink(list(stack.values()))
        stack.clear()


def inspect_image(path: str) -> tuple[tuple[Any, ...], Image.Image]:
    """
    Give the facts of a picture (`COLUMNS` and the hash of the bytes), and what its looks are taken from: grey, or RGB.

    A JPEG is read to its end, but only a fraction of its pixels is computed.
    """
    with open(path, "rb") as file:
        content = file.read()
    with Image.open(BytesIO(content)) as image:
        image_format, (width, height) = image.format or "", image.size
        if image_format == "JPEG":
            image.draft("L", (DRAFT_SIDE, DRAFT_SIDE))
        image.load()
        turn = image.getexif().get(ORIENTATION, 1) if "exif" in image.info or image_format not in ("JPEG", "PNG") else 1
        picture = image if image.mode == "RGB" and "transparency" not in image.info and turn == 1 else _to_grey(image)
        if turn != 1:
            picture.getexif()[ORIENTATION] = turn
            picture = ImageOps.exif_transpose(picture)
        if turn in (5, 6, 7, 8):
            width, height = height, width
        if picture.width * picture.height > MAX_STACKED:
            picture = Image.fromarray(shrink([picture])[0])  # large ones are not kept
    return (True, image_format, width, height, 0.0, _hash(content)), picture


def shrink(images: Sequence[Image.Image]) -> np.ndarray:
    """
    Give the 9 x 9 grey pixels that looks are taken from, (N, 9, 9) uint8, of pictures of one mode and size.

    All are averaged at once, side by side: where one ends, so does a place. One axis after the other, since the order
    in which Pillow takes them, and so the rounding, depends on the shape.
    """
    width, height = images[0].size
    row = Image.new(images[0].mode, (width * len(images), height))
    for i, image in enumerate(images):
        row.paste(image, (i * width, 0))
    grey = _to_grey(row).resize((SIDE * len(images), height), Image.Resampling.BOX)
    pixels = grey.resize((SIDE * len(images), SIDE), Image.Resampling.BOX).tobytes()
    return np.frombuffer(pixels, dtype=np.uint8).reshape(SIDE, -1, SIDE).swapaxes(0, 1)


def calc_looks(pixels: np.ndarray) -> np.ndarray:
    """
    Give 128 bits, (N, 2) uint64, of which nearly all are the same for a picture that was resized or compressed anew.

    A difference hash: of each of 8 x 8 places, whether it is brighter than its left and than its upper neighbour.

    Args:
        pixels: (N, 9, 9), uint8: each picture in grey, averaged over 9 x 9 places.

    Example:
        >>> calc_looks(np.zeros((1, 9, 9), dtype=np.uint8)).tolist()
        [[0, 0]]

    """
    across = pixels[:, 1:, 1:] > pixels[:, 1:, :-1]
    down = pixels[:, 1:, 1:] > pixels[:, :-1, 1:]
    bits = np.concatenate([across, down], axis=1).reshape(len(pixels), -1)
    return np.packbits(bits, axis=1).view(np.uint64)


def inspect_audio(path: str) -> tuple[Any, ...]:
    """Give the facts of a sound, which is decoded completely."""
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("Checking sounds needs soundfile: pip install open-metric-learning[audio].") from error
    with open(path, "rb") as file:
        content = file.read()
    try:
        with soundfile.SoundFile(BytesIO(content)) as sound:
            n_frames = _count_frames(sound)
            promised = CUT_WAV.search(sound.extra_info)
            if n_frames < sound.frames:
                raise OSError(f"it breaks off after {n_frames} of {sound.frames} samples")
            if promised and int(promised[1]) < UNKNOWN_SIZE:
                raise OSError(f"it breaks off after {promised[2]} of {promised[1]} bytes of sound")
            if n_frames == 0:
                raise OSError("it has no samples")
            return True, sound.format, 0, 0, n_frames / sound.samplerate, _hash(content)
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot decode the sound: {error.error_string}") from error


def _count_frames(sound: Any) -> int:
    # not by its `blocks`, which are as long as the header promises
    n_frames, block = 0, np.empty((2**16, sound.channels), dtype=np.int16)
    while n := len(sound.read(out=block)):
        n_frames += n
    return n_frames


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "L" else image.convert("L")


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


@contextmanager
def _start(n_workers: int) -> Iterator[Any]:
    if n_workers == 1:
        yield map
        return
    # A fork needs neither an import of the caller's script nor of libraries. The workers run decoders only, none of
    # the threads that were left behind.
    method = "fork" if sys.platform == "linux" else "spawn"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        pool = multiprocessing.get_context(method).Pool(n_workers, gc.freeze)  # what was inherited is never garbage
    with pool:
        yield pool.imap
