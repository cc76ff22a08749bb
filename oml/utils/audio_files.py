"""Read sound from wav, flac, mp3 and ogg files: only the part that is needed, at the wanted rate."""

from __future__ import annotations

import os
from math import ceil, gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from oml.errors import InvalidInputError

if TYPE_CHECKING:
    from soundfile import SoundFile

# In samples of the lower of the two rates: the resampling filter is shorter than this on each side, so that a part
# is resampled to what the whole would have given (up to the rounding of float32).
MARGIN = 256
BLOCK = 2**16  # frames thrown away at once where a file has to be decoded from its beginning

_SUFFIXES = {"WAV": ".wav", "WAVEX": ".wav", "RF64": ".wav", "FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3"}


def import_audio_libraries() -> tuple[Any, Any]:
    """
    Give the modules `soundfile` and `soxr`.

    Raises:
        ImportError: one of them is not installed.

    """
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise ImportError(
            "Audio needs the packages `soundfile` and `soxr`: pip install open-metric-learning[audio]"
        ) from error
    return soundfile, soxr


def read_audio(
    path: Path | str,
    sample_rate: int,
    convert_to_mono: bool = True,
    frame_offset: int = 0,
    num_frames: int | None = None,
) -> Tensor:
    """
    Read a file, or a window of it, at the given rate.

    The answer is that of reading everything, averaging the channels, resampling and then cutting the window out (up to
    1e-5 for samples in -1..1), but only the window and a little around it is decoded and resampled. An exception are
    Vorbis streams: they are decoded from their beginning, since the decoder's jumps do not land exactly.

    Args:
        path: A wav, flac, mp3 or ogg file.
        sample_rate: In hertz.
        convert_to_mono: Whether to average the channels.
        frame_offset: Where the window begins, in frames at `sample_rate`. It only matters where the sound is longer
            than the window.
        num_frames: The longest window. None gives everything.

    Returns:
        Samples in -1..1, (C, frames), float32. There are fewer than `num_frames` where the file ends before.

    Raises:
        ImportError: `soundfile` or `soxr` is not installed.
        FileNotFoundError: there is no such file.
        OSError: the file is no audio, damaged or empty, or its name has the extension of another format.
        InvalidInputError: the window begins behind the end.

    """
    soundfile, _ = import_audio_libraries()
    try:
        with soundfile.SoundFile(path) as sound:
            _check_format(sound, path)
            length = int(sound.frames * sample_rate / sound.samplerate + 0.5)  # as soxr rounds
            window = find_window(length, frame_offset, num_frames)
            samples = _read_window(sound, sample_rate, convert_to_mono, *window)
    except soundfile.LibsndfileError as error:
        if not os.path.exists(path):
            raise FileNotFoundError(f"There is no file {path}.") from error
        raise OSError(f"its content is no sound, or damaged ({error.error_string.rstrip('.')})") from error
    return torch.from_numpy(np.ascontiguousarray(samples.T))


def find_window(length: int, frame_offset: int, num_frames: int | None) -> tuple[int, int]:
    """
    Give the beginning and the end of the window in a sound: all of it, if it is not longer than the window.

    Raises:
        InvalidInputError: the window begins behind the end.

    Example:
        >>> find_window(length=10, frame_offset=3, num_frames=4), find_window(length=10, frame_offset=3, num_frames=10)
        ((3, 7), (0, 10))

    """
    if length < frame_offset:
        raise InvalidInputError(f"The frame offset {frame_offset} is greater than the audio length {length}.")
    if num_frames is None or length <= num_frames:
        return 0, length
    return frame_offset, min(frame_offset + num_frames, length)


def _check_format(sound: SoundFile, path: Path | str) -> None:
    suffix = os.path.splitext(path)[1]
    if _SUFFIXES.get(sound.format) != suffix.lower():
        right = _SUFFIXES.get(sound.format)
        cure = f"rename it to {right}" if right else "convert it to wav"
        raise OSError(f"its name ends in {suffix}, but its content is {sound.format}: {cure}")
    if sound.frames == 0:
        raise OSError("it has no samples")


def _read_window(sound: SoundFile, sample_rate: int, convert_to_mono: bool, start: int, stop: int) -> np.ndarray:
    """Give the frames from `start` to `stop`, counted at the wanted rate: (frames, C)."""
    rate = sound.samplerate
    if rate == sample_rate:
        return _decode(sound, convert_to_mono, start, stop)
    _, soxr = import_audio_libraries()
    # A part has to begin where a frame of both rates falls on the same moment.
    step_in, step_out = rate // gcd(rate, sample_rate), sample_rate // gcd(rate, sample_rate)
    margin = MARGIN * ceil(max(rate / sample_rate, 1))
    n_steps = max(start * rate // sample_rate - margin, 0) // step_in
    last = min(ceil(stop * rate / sample_rate) + margin, sound.frames)
    samples: np.ndarray = soxr.resample(_decode(sound, convert_to_mono, n_steps * step_in, last), rate, sample_rate)
    return samples[start - n_steps * step_out : stop - n_steps * step_out]


def _decode(sound: SoundFile, convert_to_mono: bool, start: int, stop: int) -> np.ndarray:
    if sound.subtype == "VORBIS":
        for position in range(0, start, BLOCK):
            sound.read(min(BLOCK, start - position), dtype="float32")
    elif start:
        sound.seek(start)
    samples: np.ndarray = sound.read(stop - start, dtype="float32", always_2d=True)
    if len(samples) < stop - start:
        raise OSError(f"it ends after {start + len(samples)} of {sound.frames} frames")
    if convert_to_mono and samples.shape[1] > 1:
        samples = samples.mean(axis=1, keepdims=True)
    return samples
