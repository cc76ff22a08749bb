"""Sounds as pictures and as pages: for figures of items that are heard."""

from base64 import b64encode
from functools import cache
from io import BytesIO

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from oml.const import BLACK, TColor
from oml.errors import check
from oml.functional.mel import calc_mel_filters, calc_mel_spectrogram
from oml.utils.audio_files import import_audio_libraries
from oml.utils.html import encode_as_url, make_html_block
from oml.utils.images.images import draw_bbox as draw_frame

SAMPLE_RATE = 16000  # hertz, of the bands of the default spectrogram
N_FFT, HOP_LENGTH, N_MELS = 2048, 512, 128
SIDE = 256  # pixels
MAX_CHANNELS = 8  # of FLAC
COLORMAP = "viridis"


def default_spec_repr_func(audio: Tensor) -> Tensor:
    """
    Give `log(1 + x)` of the mel spectrogram of a sound at 16 kHz: 128 bands, a frame each 512 samples, out of 2048.

    Args:
        audio: Samples (C, T) or (T,); fewer than 1025 are padded with zeros on the right.

    Returns:
        (128, T // 512 + 1) for one channel, (C, 128, T // 512 + 1) for more.

    Example:
        >>> default_spec_repr_func(torch.zeros(1, 48000)).shape
        torch.Size([128, 94])

    """
    filters, window = _make_filters()
    audio = pad(audio, (0, max(N_FFT // 2 + 1 - audio.shape[-1], 0)))
    mel = calc_mel_spectrogram(audio, filters.to(audio.device), window.to(audio.device), HOP_LENGTH)
    return torch.log1p(mel).squeeze()


@cache
def _make_filters() -> tuple[Tensor, Tensor]:
    return calc_mel_filters(N_FFT, N_MELS, SAMPLE_RATE), torch.hann_window(N_FFT)


def visualize_audio(spec_repr: Tensor, color: TColor = BLACK, draw_bbox: bool = True) -> np.ndarray:
    """
    Draw a spectrogram as a picture (256, 256, 3), uint8: time from left to right, low frequencies at the bottom.

    Args:
        spec_repr: (frequencies, frames), or (C, frequencies, frames), whose channels are drawn above each other.
            Colours reach from its smallest to its largest finite value.
        color: Of the frame.
        draw_bbox: Whether to draw a frame along the edges.

    Raises:
        InvalidInputError: the spectrogram has another number of dimensions, or nothing in it.

    Example:
        >>> visualize_audio(torch.rand(128, 94)).shape
        (256, 256, 3)

    """
    from matplotlib import colormaps
    from PIL import Image

    check(
        spec_repr.ndim in (2, 3) and spec_repr.numel() > 0,
        "A spectrogram must have the shape (frequencies, frames) or (C, frequencies, frames) and not be empty, got "
        f"{tuple(spec_repr.shape)}. It comes from `spec_repr_func`.",
    )
    values = spec_repr.detach().cpu().double().numpy()[..., ::-1, :].reshape(-1, spec_repr.shape[-1])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    shades = (np.nan_to_num(values, nan=low).clip(low, high) - low) / max(high - low, np.finfo(np.float64).tiny)
    picture = Image.fromarray(colormaps[COLORMAP](shades, bytes=True)[..., :3].copy())
    pixels = np.array(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return draw_frame(pixels, (0, 0, SIDE, SIDE), color) if draw_bbox else pixels


def visualize_audio_with_player(
    audio: Tensor,
    spec_repr: Tensor,
    sample_rate: int,
    title: str = "",
    color: TColor = BLACK,
    draw_bbox: bool = True,
) -> str:
    """
    Give a block of HTML with the title, the spectrogram and a player; sound and picture are inside of it.

    The sound is kept as FLAC with 16 bits, which browsers play at any rate; samples beyond -1..1 are cut off, and what
    is no number is silent.

    Args:
        audio: Samples (C, T) or (T,), C at most 8.
        spec_repr: As for `visualize_audio`.
        sample_rate: Of the samples, in hertz.
        title: Any text.
        color: Of the frame.
        draw_bbox: Whether to draw a frame along the edges of the spectrogram.

    Raises:
        ImportError: `soundfile` is not installed.
        InvalidInputError: the spectrogram cannot be drawn, or there are too many channels.

    """
    soundfile, _ = import_audio_libraries()
    buffer = BytesIO()
    samples = np.atleast_2d(audio.detach().cpu().float().nan_to_num(nan=0).clamp(-1, 1).numpy())
    n = len(samples)
    check(n <= MAX_CHANNELS, f"A player takes at most {MAX_CHANNELS} channels, got {n}. Use `convert_to_mono=True`.")
    soundfile.write(buffer, samples.T, sample_rate, format="FLAC", subtype="PCM_16")
    picture = encode_as_url(visualize_audio(spec_repr, color, draw_bbox), "png")
    sound = b64encode(buffer.getvalue()).decode()
    return make_html_block(
        title,
        f'<img alt="spectrogram" src="{picture}"><br>'
        f'<audio controls style="width: {SIDE}px" src="data:audio/flac;base64,{sound}"></audio>',
    )
