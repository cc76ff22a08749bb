"""A small data set of made-up voices that sing vowels, computed with numpy: the same on every machine."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from oml.utils.generated_datasets import GeneratedDataset

SAMPLE_RATE = 16000  # hertz
N_VOICES, N_TRAIN_VOICES = 8, 4
N_SOUNDS = 5  # of each voice
SECONDS = (2.0, 5.0)  # shorter and longer than the window that audio datasets take by default
VOWEL_SECONDS = 0.4
FUNDAMENTALS = (90.0, 240.0)  # hertz, of the lowest and the highest voice
TRACTS = (0.85, 1.2)  # factors of the formants: short throats have high ones
# First three formants in hertz of vowels as in "see", "say", "ah", "so", "too" (rounded; any distinct ones would do)
VOWELS = ((300, 2300, 3000), (500, 1900, 2600), (750, 1200, 2500), (500, 900, 2400), (320, 800, 2250))
BANDWIDTHS = (80.0, 100.0, 140.0)  # hertz
FADE_SECONDS = 0.03
HIGHEST = 4500.0  # hertz, of the harmonics: above all formants


def sing(voice: int, number: int) -> np.ndarray:
    """Give a sound of a voice, (frames,), float64 in -1..1: vowels on a wavering tone, and a little breath."""
    rng = np.random.default_rng((voice, number))
    order = np.random.default_rng(0).permutation(N_VOICES)  # so that a tract does not follow from a fundamental
    fundamental = FUNDAMENTALS[0] * (FUNDAMENTALS[1] / FUNDAMENTALS[0]) ** (voice / (N_VOICES - 1))
    tract = np.linspace(*TRACTS, N_VOICES)[order[voice]]

    n_vowels = int(rng.uniform(*SECONDS) / VOWEL_SECONDS)
    n_frames = int(n_vowels * VOWEL_SECONDS * SAMPLE_RATE)
    seconds = np.arange(n_frames) / SAMPLE_RATE
    tone = fundamental * rng.uniform(0.95, 1.05) * (1 + 0.01 * np.sin(2 * np.pi * rng.uniform(4, 6) * seconds))
    phase = 2 * np.pi * np.cumsum(tone) / SAMPLE_RATE
    harmonics = np.arange(1, int(HIGHEST / fundamental) + 1)

    sound = np.zeros(n_frames)
    for frames in np.array_split(np.arange(n_frames), n_vowels):
        formants = tract * np.array(VOWELS[rng.integers(len(VOWELS))])
        hertz = fundamental * harmonics[:, None]
        resonances = 1 / (1 + ((hertz - formants) / BANDWIDTHS) ** 2)
        strengths = resonances.sum(axis=1) / harmonics
        to_edge = np.minimum(frames - frames[0], frames[-1] - frames)
        fade = np.minimum(1, to_edge / (FADE_SECONDS * SAMPLE_RATE))
        sound[frames] = fade * (strengths @ np.sin(harmonics[:, None] * phase[frames]))
    sound += 0.003 * np.abs(sound).max() * rng.standard_normal(n_frames)
    sound *= 0.7 / np.abs(sound).max()
    return sound


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write samples (frames,) in -1..1 as a file of one channel and 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(32767 * samples).astype("<i2").tobytes())


def generate_mock_audios(folder: Path) -> None:
    """Write all sounds into `folder/voices` and the tables beside them."""
    (folder / "voices").mkdir()
    df = pd.DataFrame(list(_write_rows(folder)))
    df.drop(columns="start_time").to_csv(folder / "df.csv", index=False)
    df.to_csv(folder / "df_with_start_times.csv", index=False)


def _write_rows(folder: Path) -> Iterator[dict[str, object]]:
    for voice in range(N_VOICES):
        is_val = voice >= N_TRAIN_VOICES
        for number in range(N_SOUNDS):
            samples = sing(voice, number)
            path = f"voices/voice{voice}_{number}.wav"
            write_wav(folder / path, samples, SAMPLE_RATE)
            yield {
                "label": voice,
                "path": path,
                "split": "validation" if is_val else "train",
                # of each voice the first is a query only, the last a gallery only
                "is_query": number < N_SOUNDS - 1 if is_val else None,
                "is_gallery": number > 0 if is_val else None,
                # the last one is left without a start time
                "start_time": round(number * len(samples) / SAMPLE_RATE / 10, 2) if number < N_SOUNDS - 1 else None,
            }


MOCK_AUDIOS = GeneratedDataset("mock audios 1", ("df.csv", "df_with_start_times.csv"), generate_mock_audios)
