"""
What lies in files: whether they are there, can be decoded, of which format and size they are, what they look like.

Many files are read by several processes at once, which load nothing but the decoders.
"""

import gc
import hashlib
import multiprocessing
import os
import stat
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from oml.const import AUDIO_EXTENSIONS
from oml.utils.checks.pictures import LARGE, SIDE, calc_looks, inspect_image, shrink
from oml.utils.checks.sounds import inspect_audio
from oml.utils.images.pillow import DECODER_ERRORS

CHUNK = 256  # files given to a process at once
MIN_FILES = 2 * CHUNK  # starting processes does not pay for less

# A pipe would be waited for, were it opened otherwise; names that only some systems have.
OPENING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
AUDIO_ENDINGS = tuple(AUDIO_EXTENSIONS)
# Extensions of each format, as Pillow and soundfile call it; others are not judged.
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "WAV": (".wav",),
    "WAVEX": (".wav",),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "MPEG": (".mp3",),
}
MAX_STACK = 32  # pictures shrunk at once
RECORD = np.dtype(
    [
        ("is_there", bool),
        ("is_read", bool),
        ("is_named_so", bool),  # by the extension of its format
        ("format", "U8"),
        ("width", np.int32),  # of the upright picture
        ("height", np.int32),
        ("seconds", np.float64),  # of a sound
        ("content", np.uint64, 2),  # hash of the bytes
        ("looks", np.uint64, 2),  # 128 bits: whether each of 8 x 8 places is brighter than its left and its upper one
    ]
)
COLUMNS = ("is_there", "is_read", "is_named_so", "format", "width", "height", "seconds")
MISSING = (False, False, True, "", 0, 0, 0.0, bytes(16))
BROKEN = (True, *MISSING[1:])


class FileFacts(NamedTuple):
    """
    What was found in files.

    Attributes:
        records: (N,) of the type `RECORD`; nearly all of it 0 where a file is missing or could not be read.
        errors: Why files that are there could not be read, by position.

    """

    records: np.ndarray
    errors: dict[int, str]


@contextmanager
def inspect_files(
    paths: Sequence[Any], folder: str = "", n_workers: int | None = None, verbose: bool = False
) -> Iterator[Callable[[], FileFacts]]:
    """
    Begin to read each file completely: pictures by Pillow, sounds (by their extension) by soundfile.

    Args:
        paths: What may be paths of files, relative to the folder or absolute; anything else is a missing file.
        folder: Where relative paths start.
        n_workers: Processes; all cores by default.
        verbose: Whether to show a progress bar.

    Yields:
        A function that waits until all are read and gives the facts.

    Example:
        >>> with inspect_files(["no/such/file.jpg"]) as wait:
        ...     facts = wait()
        >>> facts.records["is_there"].tolist(), facts.errors
        ([False], {})

    """
    if n_workers is None:
        n_workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with _start(n_workers if len(paths) >= MIN_FILES else 1) as run:
        answers = run(partial(inspect_chunk, folder=folder), chunks)

        def wait() -> FileFacts:
            records, errors = [np.zeros(0, dtype=RECORD)], {}
            with tqdm(total=len(paths), desc="files", unit="file", disable=not (verbose and paths)) as bar:
                for i, (found, failed) in enumerate(answers):
                    records.append(found)
                    errors.update({i * CHUNK + position: text for position, text in failed.items()})
                    bar.update(len(found))
            return FileFacts(np.concatenate(records), errors)

        yield wait


def inspect_chunk(paths: Sequence[Any], folder: str = "") -> FileFacts:
    """Read the files one after another."""
    records, errors = np.zeros(len(paths), dtype=RECORD), {}
    pixels = np.zeros((len(paths), SIDE, SIDE), dtype=np.uint8)
    rows: list[tuple[Any, ...]] = [MISSING] * len(paths)
    stacks: dict[Any, dict[int, Image.Image]] = defaultdict(dict)
    for i, name in enumerate(paths):
        if not isinstance(name, (str, os.PathLike)):
            continue
        path = os.path.join(folder, name)
        try:
            content = _read(path)
            rows[i] = BROKEN
            ending = path[-8:].lower()
            if ending.endswith(AUDIO_ENDINGS):
                facts = inspect_audio(content)
            else:
                facts, image = inspect_image(content)
                stack = stacks[image.mode, image.size]
                stack[i] = image
                if len(stack) * image.width * image.height > LARGE or len(stack) == MAX_STACK:
                    _empty(stack, pixels)
            is_named_so = facts[0] not in EXTENSIONS or ending.endswith(EXTENSIONS[facts[0]])
            rows[i] = (True, True, is_named_so, *facts, hashlib.blake2b(content, digest_size=16).digest())
        except UnidentifiedImageError:
            errors[i] = "its content is of no known picture format"
        except (OSError, *DECODER_ERRORS) as error:
            if rows[i] is BROKEN or os.path.isfile(path):
                rows[i], errors[i] = BROKEN, str(error) or type(error).__name__
    for stack in stacks.values():
        _empty(stack, pixels)
    *columns, digests = zip(*rows, strict=True)
    for name, column in zip(COLUMNS, columns, strict=True):
        records[name] = column
    records["content"] = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)
    records["looks"] = calc_looks(pixels)
    return FileFacts(records, errors)


def _read(path: str) -> bytes:
    """Give the bytes of a file. Python's own `open` asks the system three times as many questions."""
    file = os.open(path, OPENING)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        content = os.read(file, status.st_size)
        while len(content) < status.st_size and (more := os.read(file, status.st_size - len(content))):
            content += more  # there is a limit of 2 GB at once
        return content
    finally:
        os.close(file)


def _empty(stack: dict[int, Image.Image], pixels: np.ndarray) -> None:
    if stack:
        pixels[list(stack)] = shrink(list(stack.values()))
        stack.clear()


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
