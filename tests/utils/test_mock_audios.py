import wave

import numpy as np
import pandas as pd
import pytest

from oml.utils import get_mock_audios_dataset
from oml.utils.dataframe_format import check_retrieval_dataframe_format
from oml.utils.mock_audios import N_SOUNDS, N_VOICES, SAMPLE_RATE, SECONDS, sing, write_wav

TABLES = ["df.csv", "df_with_start_times.csv"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mock")
    get_mock_audios_dataset(folder)
    return folder


def read(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 2**15


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_in_the_documented_format(root, name):
    check_retrieval_dataframe_format(root / name, root)
    for df in get_mock_audios_dataset(root, name):
        check_retrieval_dataframe_format(df, root)
        assert df.index.tolist() == list(range(len(df)))


def test_both_splits_can_be_used(root):
    df_train, df_val = get_mock_audios_dataset(root)
    assert len(df_train) + len(df_val) == N_VOICES * N_SOUNDS
    assert set(df_train["label"]).isdisjoint(df_val["label"])
    assert df_val["is_query"].dtype == df_val["is_gallery"].dtype == bool
    kinds = set(zip(df_val["is_query"], df_val["is_gallery"], strict=True))
    assert kinds == {(True, False), (False, True), (True, True)}
    assert (root / "voices" / "voice0_1.wav").exists()
    assert "start_time" not in df_train


def test_sounds(root):
    df = pd.concat(get_mock_audios_dataset(root, "df_with_start_times.csv", global_paths=True))
    assert df["path"].str.startswith(str(root)).all()
    assert df["start_time"].dtype == np.float64
    assert 0 < df["start_time"].isna().sum() < len(df) / 2
    lengths = []
    for row in df.itertuples():
        samples = read(row.path)
        lengths.append(len(samples) / SAMPLE_RATE)
        assert not row.start_time >= lengths[-1] - 0.4
        assert np.abs(samples).max() == pytest.approx(0.7, abs=1e-3)
    assert SECONDS[0] <= min(lengths) < 3 < max(lengths) <= SECONDS[1]


def test_the_fundamental_is_the_voice(root):
    """The autocorrelation of a sound has its first peak at the period of the voice: 90 and 240 Hz, 5 % up or down."""
    for voice, expected in ((0, 90), (N_VOICES - 1, 240)):
        samples = read(root / f"voices/voice{voice}_0.wav")[:8000]
        correlation = np.correlate(samples, samples, "full")[len(samples) - 1 :]
        period = 40 + correlation[40:250].argmax()  # lags of 400 to 64 Hz
        assert SAMPLE_RATE / period == pytest.approx(expected, rel=0.07)


def test_singing_is_deterministic():
    assert np.array_equal(sing(3, 1), sing(3, 1))
    assert len({len(sing(voice, number)) for voice, number in [(0, 0), (0, 1), (1, 0)]}) > 1


def test_samples_are_rounded(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([-1.0, 0.0, 0.5, 1.0]), SAMPLE_RATE)
    assert (read(tmp_path / "a.wav") * 2**15).tolist() == [-32767, 0, 16384, 32767]
