import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.mel import calc_mel_filters, calc_mel_spectrogram
from tests.reference import mel as reference


@pytest.mark.parametrize(
    ("n_fft", "n_mels", "sample_rate", "f_min", "f_max"),
    [(512, 80, 16000, 20, 7600), (2048, 128, 16000, 0, 8000), (8, 1, 8000, 0, 4000), (64, 40, 22050, 100.5, 11025)],
)
def test_filters_are_the_formula(n_fft: int, n_mels: int, sample_rate: int, f_min: float, f_max: float) -> None:
    filters = calc_mel_filters(n_fft, n_mels, sample_rate, f_min, f_max)
    expected = torch.tensor(reference.filters(n_fft, n_mels, sample_rate, f_min, f_max))
    assert filters.shape == (n_fft // 2 + 1, n_mels)
    assert filters.dtype == torch.float32
    torch.testing.assert_close(filters, expected, atol=1e-6, rtol=1e-6)


def test_the_highest_frequency_is_half_of_the_rate_by_default() -> None:
    assert torch.equal(calc_mel_filters(64, 10, 16000), calc_mel_filters(64, 10, 16000, 0, 8000))


@pytest.mark.parametrize("n_window", [1, 5, 10, 16])
@pytest.mark.parametrize("hop_length", [1, 7, 40])
@pytest.mark.parametrize("n_samples", [9, 30])
def test_spectrogram_is_the_formula(n_window: int, hop_length: int, n_samples: int, generator: torch.Generator) -> None:
    filters, window = calc_mel_filters(16, 5, 8000), torch.rand(n_window, generator=generator)
    audio = torch.randn(2, n_samples, generator=generator)
    expected = [reference.spectrogram(row, filters.tolist(), window.tolist(), hop_length) for row in audio.tolist()]
    spectrogram = calc_mel_spectrogram(audio, filters, window, hop_length)
    torch.testing.assert_close(spectrogram, torch.tensor(expected), atol=1e-4, rtol=1e-4)


@given(st.sampled_from([(), (1,), (0,), (2, 3)]), st.integers(9, 40), st.integers(1, 50))
def test_shape_and_sign(batch: tuple[int, ...], n_samples: int, hop_length: int) -> None:
    filters = calc_mel_filters(16, 5, 8000)
    spectrogram = calc_mel_spectrogram(torch.ones(*batch, n_samples), filters, torch.hann_window(16), hop_length)
    assert spectrogram.shape == (*batch, 5, n_samples // hop_length + 1)
    assert (spectrogram >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype(dtype: torch.dtype, generator: torch.Generator) -> None:
    filters, window = calc_mel_filters(16, 5, 8000), torch.hann_window(16)
    audio = torch.randn(40, generator=generator).to(dtype)
    spectrogram = calc_mel_spectrogram(audio, filters, window, hop_length=8)
    assert spectrogram.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(spectrogram.float(), calc_mel_spectrogram(audio.float(), filters, window, hop_length=8))


def test_strided_audio_and_gradients(generator: torch.Generator) -> None:
    audio = torch.randn(40, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    filters, window = calc_mel_filters(16, 5, 8000), torch.hann_window(16)

    def calc(x: torch.Tensor) -> torch.Tensor:
        return calc_mel_spectrogram(x.T, filters, window, hop_length=8)

    assert torch.equal(calc(audio), calc_mel_spectrogram(audio.T.contiguous(), filters, window, hop_length=8))
    assert torch.autograd.gradcheck(calc, audio)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_fft": 15}, "n_fft must be a positive even number of samples, got 15"),
        ({"n_mels": 0}, "n_mels must be a positive number of bands, got 0"),
        ({"f_max": 5000}, r"half of the sample rate, 4000 Hz.*f_min=0, f_max=5000\. Lower f_max"),
        ({"f_min": 4000}, "f_min=4000, f_max=4000"),
        ({"f_min": -1}, "f_min=-1"),
    ],
)
def test_bad_filters(arguments: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        calc_mel_filters(**{"n_fft": 16, "n_mels": 5, "sample_rate": 8000, **arguments})


@pytest.mark.parametrize(
    ("n_samples", "n_window", "hop_length", "message"),
    [
        (8, 16, 4, r"more than n_fft // 2 = 8 samples, got 8\. Pad it"),
        (30, 17, 4, "window must have at most n_fft = 16 samples, got 17"),
        (30, 16, 0, "hop_length must be a positive number of samples, got 0"),
    ],
)
def test_bad_audio(n_samples: int, n_window: int, hop_length: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        calc_mel_spectrogram(torch.zeros(n_samples), calc_mel_filters(16, 5, 8000), torch.ones(n_window), hop_length)
