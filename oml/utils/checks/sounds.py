"""What lies in the file of a sound."""

import re
from io import BytesIO
from typing import Any

import numpy as np

CUT_WAV = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # libsndfile notes and forgives it
UNKNOWN_SIZE = 2**32 - 1  # in headers that were written before the end was known


def inspect_audio(content: bytes) -> tuple[Any, ...]:
    """Give the format, 0, 0 and the seconds of a sound, which is decoded completely."""
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("Checking sounds needs soundfile: pip install open-metric-learning[audio].") from error
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
            return sound.format, 0, 0, n_frames / sound.samplerate
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot decode the sound: {error.error_string}") from error


def _count_frames(sound: Any) -> int:
    # not by its `blocks`, which are as long as the header promises
    n_frames, block = 0, np.empty((2**16, sound.channels), dtype=np.int16)
    while n := len(sound.read(out=block)):
        n_frames += n
    return n_frames
