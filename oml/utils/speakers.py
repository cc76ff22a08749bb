"""Speakers: made-up people saying words, a retrieval data set of sounds that needs no download, only espeak-ng."""

from collections.abc import Iterator, Sequence
from hashlib import md5
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from oml.const import MOCK_DATASET_DEFAULT_CSV, SPEAKERS_DATASET_PATH
from oml.utils.audio_files import import_audio_libraries
from oml.utils.espeak import ACCENTS, SAMPLE_RATE, Utterance, find_voices, synthesise
from oml.utils.generated_datasets import GeneratedDataset, get_generated_dataset

WRITTEN_RATE = 16000  # hertz
PITCHES = (15, 40, 65, 90)  # of the speakers of one voice
TRACTS = (0.84, 0.94, 1.06, 1.19)  # likewise: sounds are played so much faster, as if the throat were shorter
PITCH_JITTER = 8  # up or down, within a speaker
SPEEDS = (130, 210)  # words per minute
LOUDNESS = (0.3, 0.9)  # of the loudest sample
N_WORDS = 2
N_TRAIN, N_VALIDATION = 20, 10  # sounds of a speaker
_WORD_LIST = (
    "anchor animal balloon bottle butter camera candle carpet dinner doctor donkey elephant engine evening "
    "fellow finger forest garden ginger golden guitar hammer harvest honey igloo insect island jacket journey "
    "jungle kettle kingdom kitchen ladder lantern lemon little market meadow mirror mountain nation needle "
    "number ocean office orange orchard paper pencil picture planet quarter question rabbit rainbow river "
    "rocket saddle seven silver station summer table thunder tomato umbrella uncle valley velvet village water "
    "whisper window winter wonder yellow yesterday zebra"
)
WORDS = _WORD_LIST.split()


class Speaker(NamedTuple):
    """A voice of espeak-ng with an accent, a pitch and a throat of its own."""

    voice: str
    accent: str
    pitch: int
    tract: float


def get_speakers_dataset(
    dataset_root: Path | str = SPEAKERS_DATASET_PATH,
    df_name: str = MOCK_DATASET_DEFAULT_CSV,
    check_md5: bool = True,
    global_paths: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of about 6,000 sounds of about 400 speakers, made first if not there yet.

    A sound is two words, about a second long (flac, 16 kHz, one channel), said by a voice of espeak-ng. Label: the
    speaker: a voice with an accent, a pitch and a throat of its own; four speakers share a voice. Category: the accent.
    Words, speed, loudness and, a little, pitch vary within a speaker. Half of the voices (whole families, such as klatt
    to klatt6) are for training, so those at validation have not been heard; there each sound is a query and a gallery
    (1 vs rest). Making takes some seconds; the sounds are kept for the next time. They are the same wherever the
    version of espeak-ng is the same.

    Args:
        dataset_root: The folder of the data set; by default in the cache folder.
        df_name: `df.csv`, the only table.
        check_md5: Whether to check all files by their hashes, and to make the set again if one is damaged. If a file is
            missing, that is done anyway.
        global_paths: Whether to put `dataset_root` before the paths of the tables.

    Raises:
        ValueError: there is no such table.
        ImportError: `soundfile` or `soxr` is not installed.
        OSError: espeak-ng is not installed, or the folder cannot be written.
        FileExistsError: the folder holds other files with the names of the data set's files.

    """
    return get_generated_dataset(SPEAKERS, dataset_root, df_name, check_md5, global_paths)


def record_speakers(folder: Path) -> None:
    """Write all sounds into `folder/voices` and the table beside them."""
    voices = find_voices()
    splits = {"train": N_TRAIN, "validation": N_VALIDATION}
    speakers = {name: make_speakers([v for v in voices if choose_split(v) == name]) for name in splits}
    write_speakers(folder, speakers, splits)


def choose_split(voice: str) -> str:
    """
    Give the split of a voice, which is that of its family: names that differ in their numbers only.

    Example:
        >>> choose_split("klatt"), choose_split("klatt6")
        ('validation', 'validation')

    """
    family = voice.rstrip("0123456789").lower()
    return ("train", "validation")[md5(family.encode(), usedforsecurity=False).digest()[8] % 2]


def make_speakers(voices: Sequence[str]) -> list[Speaker]:
    """Give four speakers of each voice, with different accents, pitches and throats."""
    speakers = []
    for voice in voices:
        rng = _seed(voice)
        parts = zip(rng.permutation(list(ACCENTS)), PITCHES, rng.permutation(TRACTS), strict=False)
        speakers += [Speaker(voice, str(accent), pitch, float(tract)) for accent, pitch, tract in parts]
    return speakers


def make_utterances(speaker: Speaker, n: int) -> list[Utterance]:
    """Give `n` different things to say, which depend on the speaker only."""
    rng = _seed("/".join(map(str, speaker)))
    utterances = []
    for _ in range(n):
        words = rng.choice(WORDS, N_WORDS, replace=False)
        pitch = speaker.pitch + int(rng.integers(-PITCH_JITTER, PITCH_JITTER + 1))
        speed = int(rng.integers(SPEEDS[0], SPEEDS[1] + 1))
        utterances.append(Utterance(speaker.voice, speaker.accent, " ".join(words), pitch, speed))
    return utterances


def write_speakers(folder: Path, speakers: dict[str, list[Speaker]], n_sounds: dict[str, int]) -> None:
    """Let the speakers of each split say their number of things, and write sounds and table."""
    (folder / "voices").mkdir()
    df = pd.DataFrame(list(_write_rows(folder, speakers, n_sounds)))
    df.to_csv(folder / "df.csv", index=False)


def _write_rows(
    folder: Path, speakers: dict[str, list[Speaker]], n_sounds: dict[str, int]
) -> Iterator[dict[str, object]]:
    soundfile, soxr = import_audio_libraries()
    planned = [
        (split, speaker, number, utterance)
        for split, members in speakers.items()
        for speaker in members
        for number, utterance in enumerate(make_utterances(speaker, n_sounds[split]))
    ]
    labels = {speaker: label for label, speaker in enumerate(s for members in speakers.values() for s in members)}
    sounds = synthesise([utterance for *_, utterance in planned])
    for (split, speaker, number, _), sound in zip(planned, sounds, strict=True):
        samples = soxr.resample(sound.astype(np.float32), SAMPLE_RATE * speaker.tract, WRITTEN_RATE)
        loudness = _seed(f"{speaker}{number}").uniform(*LOUDNESS)
        path = f"voices/{labels[speaker]}_{speaker.voice.replace(' ', '_')}_{number}.flac"
        soundfile.write(folder / path, samples * (loudness / max(np.abs(samples).max(), 1)), WRITTEN_RATE)
        flag = True if split == "validation" else None
        yield {
            "label": labels[speaker],
            "path": path,
            "split": split,
            "is_query": flag,
            "is_gallery": flag,
            "category": speaker.accent,
        }


def _seed(text: str) -> np.random.Generator:
    return np.random.default_rng(list(md5(text.encode(), usedforsecurity=False).digest()))


SPEAKERS = GeneratedDataset(name="speakers 1", tables=("df.csv",), generate=record_speakers)
