"""Mel spectrograms: the energy of a sound in bands as wide as the ear tells apart, over time."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oml.errors import check
from oml.functional.distances import at_least_float32


def calc_mel_filters(
    n_fft: int, n_mels: int, sample_rate: int, f_min: float = 0.0, f_max: float | None = None
) -> Tensor:
    """
    Give triangular filters (n_fft // 2 + 1, n_mels), float32, which sum a spectrum to bands of the mel scale.

    The peaks stand at equal steps of the mel scale between `f_min` and `f_max`; each filter rises from the peak before
    it to 1 at its own and falls to the one after. A band narrower than the step of the spectrum may be all zeros.

    Args:
        n_fft: Number of samples of a Fourier transform, even.
        n_mels: Number of bands.
        sample_rate: Samples per second of the sound.
        f_min: Where the first band begins, in Hz.
        f_max: Where the last band ends, in Hz; half of the sample rate by default, and at most.

    Raises:
        InvalidInputError: a number is out of its range.

    Source: the scale `2595 log10(1 + f / 700)` and the filters as in Young et al., "The HTK Book", 2006, section 5.4,
    but straight in Hz instead of mels (as torchaudio's default).

    Example:
        >>> calc_mel_filters(n_fft=8, n_mels=2, sample_rate=16000, f_max=6000)
        tensor([[0.0000, 0.0000],
                [0.2729, 0.7271],
                [0.0000, 0.5643],
                [0.0000, 0.0000],
                [0.0000, 0.0000]])

    """
    f_max = sample_rate / 2 if f_max is None else f_max
    check(n_fft > 0 and n_fft % 2 == 0, f"n_fft must be a positive even number of samples, got {n_fft}.")
    check(n_mels > 0, f"n_mels must be a positive number of bands, got {n_mels}.")
    check(
        0 <= f_min < f_max <= sample_rate / 2,
        f"Bands must lie between 0 Hz and half of the sample rate, {sample_rate / 2:g} Hz, and f_min below f_max; got "
        f"f_min={f_min:g}, f_max={f_max:g}. Lower f_max, or resample the sound.",
    )
    frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    mels = torch.linspace(_to_mel(f_min), _to_mel(f_max), n_mels + 2, dtype=torch.float64)
    points = 700 * (10 ** (mels / 2595) - 1)
    starts, peaks, ends = points[:-2], points[1:-1], points[2:]
    rising = (frequencies[:, None] - starts) / (peaks - starts)
    falling = (ends - frequencies[:, None]) / (ends - peaks)
    return torch.minimum(rising, falling).clamp_min(0).float()


def calc_mel_spectrogram(audio: Tensor, filters: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """
    Give the power of the sound in each band of the filters, over time: (..., n_mels, T // hop_length + 1).

    Frame `i` is centred at the sample `i * hop_length`; the sound is mirrored at both ends. The window is multiplied to
    the middle of the n_fft samples of a frame. float16 and bfloat16 are computed, and given back, in float32.

    Args:
        audio: Samples (..., T), T more than n_fft // 2.
        filters: What `calc_mel_filters` gives, (n_fft // 2 + 1, n_mels).
        window: Weights (W,) of the samples of a frame, W at most n_fft, such as `torch.hann_window(400)`.
        hop_length: Number of samples from a frame to the next.

    Raises:
        InvalidInputError: the sound is too short, the window too long, or `hop_length` not positive.

    Example:
        >>> filters = calc_mel_filters(n_fft=512, n_mels=40, sample_rate=16000)
        >>> time = torch.arange(16000) / 16000
        >>> tone = torch.sin(2 * math.pi * 1000 * time)
        >>> mel = calc_mel_spectrogram(tone, filters, torch.hann_window(400), hop_length=160)
        >>> mel.shape, mel[:, 50].argmax() == filters[1000 * 512 // 16000].argmax()
        (torch.Size([40, 101]), tensor(True))

    """
    n_fft, n_samples, n_window = 2 * (filters.shape[0] - 1), audio.shape[-1], window.shape[0]
    check(
        n_samples > n_fft // 2,
        f"The sound must have more than n_fft // 2 = {n_fft // 2} samples, got {n_samples}. Pad it with zeros.",
    )
    check(n_window <= n_fft, f"The window must have at most n_fft = {n_fft} samples, got {n_window}.")
    check(hop_length > 0, f"hop_length must be a positive number of samples, got {hop_length}.")
    with torch.autocast(audio.device.type, enabled=False):
        samples = at_least_float32(audio)
        flat = F.pad(samples.reshape(-1, 1, n_samples), (n_fft // 2, n_fft // 2), mode="reflect")
        spectrum = torch.stft(
            flat.squeeze(1),
            n_fft=n_fft,
            hop_length=hop_length,
            win_length=n_window,
            window=window.to(samples),
            center=False,
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square().sum(dim=-1)  # (B, F, frames)
        mel = filters.T.to(samples) @ power
    return mel.reshape(*audio.shape[:-1], *mel.shape[-2:])


def _to_mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)
