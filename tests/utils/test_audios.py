from base64 import b64decode
from io import BytesIO
from re import search

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from oml.errors import InvalidInputError
from oml.utils.audios import default_spec_repr_func, visualize_audio, visualize_audio_with_player

RED = (255, 0, 0)


def calc_spectrogram(audio: np.ndarray) -> np.ndarray:
    """The slow definition for one channel: mirrored ends, Hann windows, |DFT|^2, HTK's triangles, log(1 + x)."""
    n, hop, n_mels, rate = 2048, 512, 128, 16000
    audio = np.concatenate([audio[n // 2 : 0 : -1], audio, audio[-2 : -n // 2 - 2 : -1]]).astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    frames = [audio[i : i + n] * window for i in range(0, len(audio) - n + 1, hop)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    peaks = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), n_mels + 2) / 2595) - 1)
    hertz = np.arange(n // 2 + 1) * rate / n
    mels = np.zeros((n_mels, len(power)))
    for band, (left, peak, right) in enumerate(zip(peaks, peaks[1:], peaks[2:], strict=False)):
        weights = [max(0.0, min((f - left) / (peak - left), (right - f) / (right - peak))) for f in hertz]
        mels[band] = power @ np.array(weights)
    return np.log1p(mels)


def test_default_spectrogram_is_its_definition(generator):
    audio = torch.rand(1, 9000, generator=generator) - 0.5
    spectrogram = default_spec_repr_func(audio)
    assert spectrogram.shape == (128, 18)
    np.testing.assert_allclose(spectrogram.numpy(), calc_spectrogram(audio[0].numpy()), rtol=1e-4, atol=1e-5)
    assert torch.equal(default_spec_repr_func(audio[0]), spectrogram)
    stereo = default_spec_repr_func(torch.cat([audio, audio]))
    torch.testing.assert_close(stereo, torch.stack([spectrogram, spectrogram]))


@pytest.mark.parametrize("n", [0, 1, 1024])
def test_default_spectrogram_of_short_sounds(n):
    assert default_spec_repr_func(torch.zeros(1, n)).tolist() == torch.zeros(128, 3).tolist()


def test_picture():
    spectrogram = torch.zeros(4, 8)
    spectrogram[3, 0] = 1  # a high tone at the beginning
    picture = visualize_audio(spectrogram, RED)
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert (picture[[0, -1]] == RED).all()
    assert (picture[:, [0, -1]] == RED).all()
    bare = visualize_audio(spectrogram, draw_bbox=False)
    brightness = bare.astype(int).sum(axis=2)
    assert np.unravel_index(brightness.argmax(), brightness.shape) < (64, 32)
    assert brightness[0, 0] > brightness[-1, -1]


def test_pictures_of_odd_spectrograms():
    values = torch.tensor([[0.0, 1.0], [float("-inf"), float("nan")]])
    odd = visualize_audio(values, draw_bbox=False)
    assert np.array_equal(odd, visualize_audio(values.nan_to_num(0.0, neginf=0.0), draw_bbox=False))
    for even in (torch.full((3, 5), 2.5), torch.full((3, 5), float("nan"))):
        assert (visualize_audio(even, draw_bbox=False) == visualize_audio(even, draw_bbox=False)[0, 0]).all()
    two = visualize_audio(torch.stack([torch.ones(2, 3), torch.zeros(2, 3)]), draw_bbox=False).astype(int).sum(axis=2)
    assert two[0, 0] > two[-1, 0]


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4), (0, 3)])
def test_what_is_no_spectrogram(shape):
    with pytest.raises(InvalidInputError, match=r"must have the shape \(frequencies, frames\).*`spec_repr_func`"):
        visualize_audio(torch.zeros(shape))


@pytest.mark.parametrize("n_channels", [1, 2])
def test_page_holds_picture_and_sound(generator, n_channels):
    audio = torch.rand(n_channels, 3000, generator=generator) * 2 - 1
    audio[0, 0] = 1.5
    spectrogram = torch.rand(20, 30, generator=generator)
    html = visualize_audio_with_player(audio, spectrogram, 7919, "a < b", RED)
    assert html.startswith("<div>")
    assert "a &lt; b" in html
    png, flac = (
        b64decode(search(f'data:{kind};base64,([^"]+)', html).group(1)) for kind in ("image/png", "audio/flac")
    )
    assert np.array_equal(np.asarray(Image.open(BytesIO(png))), visualize_audio(spectrogram, RED))
    samples, rate = soundfile.read(BytesIO(flac), always_2d=True)
    assert rate == 7919
    np.testing.assert_allclose(samples.T, audio.clamp(max=1), atol=1 / 2**15)
    assert "a &lt; b" not in visualize_audio_with_player(audio, spectrogram, 16000)


def test_players_of_odd_sounds():
    html = visualize_audio_with_player(torch.tensor([0.5, torch.nan, torch.inf]), torch.rand(4, 4), 16000)
    samples, _ = soundfile.read(BytesIO(b64decode(search('data:audio/flac;base64,([^"]+)', html).group(1))))
    np.testing.assert_allclose(samples, [0.5, 0, 1], atol=1e-4)
    with pytest.raises(InvalidInputError, match=r"at most 8 channels, got 9\. Use `convert_to_mono=True`"):
        visualize_audio_with_player(torch.zeros(9, 100), torch.rand(4, 4), 16000)
