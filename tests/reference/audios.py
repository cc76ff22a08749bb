"""Windows of sounds from their definition: everything is read and resampled, then the window is cut out."""

from pathlib import Path

import numpy as np
import soundfile
import soxr


def read_window(path: Path, sample_rate: int, mono: bool, start_time: float, max_num_seconds: float) -> np.ndarray:
    """Give (C, frames), padded with zeros on the left to the length of the window."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    channels = [samples.sum(axis=1) / samples.shape[1]] if mono else list(samples.T)
    n = int(max_num_seconds * sample_rate)
    windows = []
    for channel in channels:
        sound = channel if rate == sample_rate else soxr.resample(channel, rate, sample_rate)
        if len(sound) > n:
            offset = int(start_time * sample_rate)
            sound = sound[offset : offset + n]
        windows.append([0.0] * (n - len(sound)) + list(sound))
    return np.array(windows, dtype=np.float32)
