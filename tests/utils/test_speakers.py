from collections import Counter
from ctypes.util import find_library

import numpy as np
import pandas as pd
import pytest
import soundfile

from oml.utils import espeak, get_speakers_dataset, speakers
from oml.utils.dataframe_format import check_retrieval_dataframe_format
from oml.utils.espeak import Utterance, find_voices, synthesise
from oml.utils.io import calc_folder_hash
from oml.utils.speakers import (
    PITCH_JITTER,
    PITCHES,
    TRACTS,
    WORDS,
    Speaker,
    choose_split,
    make_speakers,
    make_utterances,
    write_speakers,
)

with_espeak = pytest.mark.skipif(find_library("espeak-ng") is None, reason="espeak-ng is not installed: `make setup`")
HELLO = Utterance("m3", "american", "hello", pitch=50, speed=170)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The data set as it is, but of two voices and four sounds of a speaker."""
    folder = tmp_path_factory.mktemp("speakers")
    with pytest.MonkeyPatch.context() as patch:
        voices = {choose_split(voice): voice for voice in ("m3", "f2", "klatt2", "steph", "max", "boris")}
        patch.setattr(speakers, "find_voices", lambda: list(voices.values()))
        patch.setattr(speakers, "N_TRAIN", 4)
        patch.setattr(speakers, "N_VALIDATION", 2)
        get_speakers_dataset(folder)
    return folder


@with_espeak
def test_the_table_keeps_the_format(root):
    check_retrieval_dataframe_format(root / "df.csv", root)
    df_train, df_val = get_speakers_dataset(root)
    assert Counter(df_train["label"]) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert Counter(df_val["label"]) == {4: 2, 5: 2, 6: 2, 7: 2}
    assert df_val["is_query"].all()
    assert df_val["is_gallery"].all()
    assert pd.concat([df_train, df_val]).groupby("label")["category"].nunique().max() == 1


@with_espeak
def test_sounds_are_speech(root):
    for path in root.glob("voices/*.flac"):
        samples, rate = soundfile.read(path)
        assert rate == 16000
        assert samples.ndim == 1
        assert 0.3 < len(samples) / rate < 2.6
        assert 0.29 < np.abs(samples).max() < 0.91
        assert samples.std() > 0.01
    assert len({path.read_bytes() for path in root.glob("voices/*.flac")}) == 24


@with_espeak
def test_making_is_deterministic(tmp_path):
    chosen = make_speakers(["klatt2", "whisper"])[2:6]  # noises and waverings are made of random numbers
    for name in "ab":
        (tmp_path / name).mkdir()
        write_speakers(tmp_path / name, {"train": chosen[:2], "validation": chosen[2:]}, {"train": 2, "validation": 1})
    assert calc_folder_hash(tmp_path / "a") == calc_folder_hash(tmp_path / "b")


@with_espeak
def test_utterances_are_what_is_asked_for():
    low, high, slow, longer = synthesise(
        [HELLO._replace(pitch=0), HELLO._replace(pitch=99), HELLO._replace(speed=100), HELLO._replace(text="hello you")]
    )
    assert low.dtype == np.dtype("<i2")
    assert len(longer) > len(low)
    assert len(slow) > 1.3 * len(low)

    def count_crossings(sound):
        return np.count_nonzero(np.diff(np.signbit(sound)))

    assert count_crossings(high) > count_crossings(low)
    assert synthesise([]) == []


@with_espeak
def test_voices():
    voices = find_voices()
    assert {"f1", "m3", "klatt2"} <= set(voices)
    assert voices == sorted(voices)
    splits = Counter(map(choose_split, voices))
    assert min(splits["train"], splits["validation"]) > 0.3 * len(voices)


@with_espeak
def test_an_unknown_voice():
    with pytest.raises(OSError, match=r"espeak-ng failed: it has no voice 'en-us\+nobody'"):
        synthesise([HELLO._replace(voice="nobody")])


def test_espeak_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(espeak, "find_library", lambda name: None)
    for call in (find_voices, lambda: synthesise([HELLO]), lambda: get_speakers_dataset(tmp_path)):
        with pytest.raises(OSError, match="`apt-get install espeak-ng`"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_speakers_of_a_voice_differ():
    members = make_speakers(["m3", "f2"])
    assert members == make_speakers(["m3", "f2"])
    assert len(set(members)) == 8
    for voice in ("m3", "f2"):
        own = [speaker for speaker in members if speaker.voice == voice]
        assert sorted(speaker.pitch for speaker in own) == list(PITCHES)
        assert sorted(speaker.tract for speaker in own) == list(TRACTS)
        assert len({speaker.accent for speaker in own}) == 4


def test_families_of_voices_stay_together():
    for family in (["klatt", "klatt2", "klatt6"], ["Gene", "Gene2"], ["steph", "steph3"]):
        assert len(set(map(choose_split, family))) == 1


def test_utterances_of_a_speaker():
    speaker = Speaker("m3", "scottish", 50, 1.06)
    utterances = make_utterances(speaker, 20)
    assert utterances == make_utterances(speaker, 20)
    assert utterances != make_utterances(speaker._replace(tract=0.94), 20)
    assert {(u.voice, u.accent) for u in utterances} == {("m3", "scottish")}
    assert all(abs(u.pitch - 50) <= PITCH_JITTER for u in utterances)
    assert {word for u in utterances for word in u.text.split()} <= set(WORDS)
    assert len({u.text for u in utterances}) > 15
