import sys

import numpy as np
import pytest
import soundfile
import torch

from oml.errors import InvalidInputError
from oml.utils.audio_files import find_window, read_audio
from tests.reference.audios import read_window

FORMATS = {"wav": {}, "flac": {}, "mp3": {}, "ogg": {}, "opus.ogg": {"format": "OGG", "subtype": "OPUS"}}
RATES = {"opus.ogg": (8000, 48000)}  # the codec knows few
SECONDS = 4.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two channels of noise, whose samples all differ: the hardest case for seeking and for filters."""
    folder = tmp_path_factory.mktemp("sounds")
    for ending, options in FORMATS.items():
        for rate in RATES.get(ending, (11025, 16000, 44100)):
            noise = np.random.default_rng(rate).uniform(-0.7, 0.7, (int(SECONDS * rate), 2))
            soundfile.write(folder / f"{rate}.{ending}", noise, rate, **options)
    return folder


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("mono", [True, False])
def test_a_part_is_what_the_whole_would_give(folder, ending, mono):
    paths = sorted(folder.glob(f"[0-9]*.{ending}"))
    for path in paths if ending != "ogg" else [p for p in paths if "opus" not in p.name]:
        for start_time, seconds in [(0.0, 1.0), (0.5, 0.25), (1.7, 1.3), (3.3, 2.0), (4.2, 0.4), (2.0, 9.0)]:
            audio = read_audio(path, 16000, mono, int(start_time * 16000), int(seconds * 16000))
            expected = read_window(path, 16000, mono, start_time, seconds)[:, -audio.shape[1] :]
            assert audio.dtype == torch.float32
            assert audio.is_contiguous()
            # 1e-5: filters are longer than float32 is exact, and mp3 decoders round by what they have seen before
            np.testing.assert_allclose(audio.numpy(), expected, atol=1e-5, err_msg=f"{path} {start_time}")


def test_windows_of_vorbis_land_exactly(folder, monkeypatch):
    """Whether a jump lands depends on the decoder's version and on the sound, so here each one lands beside."""
    seek = soundfile.SoundFile.seek

    def miss(sound, frame, *whence):  # soundfile's own calls, which say whence, stay where they are
        return seek(sound, frame if whence else max(frame - 64, 0), *whence)

    monkeypatch.setattr(soundfile.SoundFile, "seek", miss)
    for rate in (16000, 44100):
        whole = read_audio(folder / f"{rate}.ogg", 16000)
        for start in (0, 500, 16000, 60000):
            part = read_audio(folder / f"{rate}.ogg", 16000, True, start, 4000)
            torch.testing.assert_close(part, whole[:, start : start + 4000], rtol=0, atol=0 if rate == 16000 else 1e-5)


def test_only_the_window_is_decoded(folder, monkeypatch):
    decoded = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, n, **options: (decoded.append(n), read(self, n, **options))[1]
    )
    read_audio(folder / "44100.flac", 16000, True, 16000, 8000)
    assert 22050 < sum(decoded) < 22050 + 2 * 1024


def test_everything_at_other_rates(folder):
    assert read_audio(folder / "44100.wav", 44100).shape == (1, int(SECONDS * 44100))
    whole = read_audio(folder / "44100.wav", 7919, convert_to_mono=False)
    np.testing.assert_allclose(whole.numpy(), read_window(folder / "44100.wav", 7919, False, 0, SECONDS), atol=1e-5)


@pytest.mark.parametrize(
    ("length", "offset", "n", "expected"),
    [(10, 0, 4, (0, 4)), (10, 8, 4, (8, 10)), (10, 10, 4, (10, 10)), (4, 3, 4, (0, 4)), (0, 0, 4, (0, 0))],
)
def test_find_window(length, offset, n, expected):
    assert find_window(length, offset, n) == expected


def test_a_window_behind_the_end():
    with pytest.raises(InvalidInputError, match=r"^The frame offset 11 is greater than the audio length 10\.$"):
        find_window(10, 11, 4)


def test_bad_files(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.wav"):
        read_audio(tmp_path / "none.wav", 16000)
    (tmp_path / "text.mp3").write_text("not a sound at all " * 50)
    with pytest.raises(OSError, match="its content is no sound, or damaged"):
        read_audio(tmp_path / "text.mp3", 16000)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OSError):
        read_audio(tmp_path / "folder.wav", 16000)
    (tmp_path / "named.mp3").write_bytes((folder / "16000.flac").read_bytes())
    with pytest.raises(OSError, match=r"its name ends in \.mp3, but its content is FLAC: rename it to \.flac"):
        read_audio(tmp_path / "named.mp3", 16000)
    soundfile.write(tmp_path / "a.wav", np.zeros(5), 16000, format="AIFF")
    with pytest.raises(OSError, match=r"its name ends in \.wav, but its content is AIFF: convert it to wav"):
        read_audio(tmp_path / "a.wav", 16000)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(OSError, match="it has no samples"):
        read_audio(tmp_path / "empty.wav", 16000)


@pytest.mark.parametrize("ending", ["flac", "mp3"])
def test_half_of_a_file(folder, tmp_path, ending):
    content = (folder / f"16000.{ending}").read_bytes()
    (tmp_path / f"half.{ending}").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"damaged|it ends after .* of .* frames"):
        read_audio(tmp_path / f"half.{ending}", 16000)


def test_capital_letters(folder, tmp_path):
    (tmp_path / "A.WAV").write_bytes((folder / "16000.wav").read_bytes())
    assert torch.equal(read_audio(tmp_path / "A.WAV", 16000), read_audio(folder / "16000.wav", 16000))


@pytest.mark.parametrize("module", ["soundfile", "soxr"])
def test_missing_libraries(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install open-metric-learning\[audio\]"):
        read_audio("a.wav", 16000)
