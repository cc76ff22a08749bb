"""
ECAPA-TDNN, which gives an embedding of a speaker's voice.

Source: Desplanques et al., "ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN Based Speaker
Verification", 2020. Where implementations differ (ReLU before batch normalisation, the sums that blocks take, the
bounds of variances) this one follows the published weights of TaoRuijie, whose names it has.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import at_least_float32
from oml.functional.mel import calc_mel_filters, calc_mel_spectrogram

SAMPLE_RATE = 16_000
N_MELS = 80
_N_FFT, _N_WINDOW, _HOP = 512, 400, 160  # samples
_F_MIN, _F_MAX = 20, 7600  # Hz
_SCALE = 8  # groups of channels of a block
_MIN_VARIANCE = 1e-4


class EcapaTdnn(nn.Module):
    """
    Gives embeddings (B, feat_dim) of sounds (B, T) at 16 kHz.

    Args:
        n_channels: Channels C of the convolutions, divisible by 8.
        feat_dim: Number of features D.

    """

    def __init__(self, n_channels: int = 1024, feat_dim: int = 192):
        super().__init__()
        self.feat_dim = feat_dim
        self.torchfbank = nn.Sequential(PreEmphasis(), MelSpectrogram())
        self.conv1 = nn.Conv1d(N_MELS, n_channels, kernel_size=5, padding=2)
        self.relu = nn.ReLU()
        self.bn1 = nn.BatchNorm1d(n_channels)
        self.layer1 = Res2Block(n_channels, dilation=2)
        self.layer2 = Res2Block(n_channels, dilation=3)
        self.layer3 = Res2Block(n_channels, dilation=4)
        self.layer4 = nn.Conv1d(3 * n_channels, 1536, kernel_size=1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * 1536, 256, kernel_size=1),
            nn.ReLU(),
            nn.BatchNorm1d(256),
            nn.Tanh(),
            nn.Conv1d(256, 1536, kernel_size=1),
            nn.Softmax(dim=2),
        )
        self.bn5 = nn.BatchNorm1d(2 * 1536)
        self.fc6 = nn.Linear(2 * 1536, feat_dim)
        self.bn6 = nn.BatchNorm1d(feat_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the sounds (B, T)."""
        check(
            x.ndim == 2 or (x.ndim == 3 and x.shape[1] == 1),
            f"ECAPA-TDNN takes sounds of one channel, (N, T) or (N, 1, T), got the shape {list(x.shape)}. Average the "
            f"channels with x.mean(dim=1); add the batch dimension of a single sound with x[None].",
        )
        x = self._calc_log_mel(x.flatten(start_dim=1)).to(self.conv1.weight.dtype)  # (B, M, frames)
        x = self.bn1(self.relu(self.conv1(x)))
        x1 = self.layer1(x)
        x2 = self.layer2(x + x1)
        x3 = self.layer3(x + x1 + x2)
        x = self.relu(self.layer4(torch.cat([x1, x2, x3], dim=1)))
        embeddings: Tensor = self.bn6(self.fc6(self.bn5(self._pool(x))))
        return embeddings

    @torch.no_grad()
    def _calc_log_mel(self, audio: Tensor) -> Tensor:
        log_mel: Tensor = (self.torchfbank(audio) + 1e-6).log()
        return log_mel - log_mel.mean(dim=-1, keepdim=True)

    def _pool(self, x: Tensor) -> Tensor:
        """Give mean and deviation over time, weighted by attention that sees both of the whole sound: (B, 2 * C)."""
        mean = x.mean(dim=2, keepdim=True)
        variance = (x - mean).square().sum(dim=2, keepdim=True) / (x.shape[2] - 1)  # Tensor.var warns of empty batches
        deviation = variance.clamp_min(_MIN_VARIANCE).sqrt()
        weights = self.attention(torch.cat([x, mean.expand_as(x), deviation.expand_as(x)], dim=1))
        mean = (x * weights).sum(dim=2)
        deviation = ((x.square() * weights).sum(dim=2) - mean.square()).clamp_min(_MIN_VARIANCE).sqrt()
        return torch.cat([mean, deviation], dim=1)


class PreEmphasis(nn.Module):
    """Lifts high frequencies: each sample loses 0.97 of the one before it; the first one, of the second."""

    flipped_filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flipped_filter", torch.tensor([[[-0.97, 1.0]]]))

    def forward(self, audio: Tensor) -> Tensor:
        """Give the sounds (B, T), at least float32."""
        padded = F.pad(at_least_float32(audio)[:, None], (1, 0), mode="reflect").squeeze(1)
        before, own = self.flipped_filter.to(padded).flatten()
        lifted: Tensor = padded[:, :-1] * before + padded[:, 1:] * own
        return lifted


class MelSpectrogram(nn.Module):
    """Gives mel spectrograms (B, M, frames) of sounds (B, T), with the window and the filters that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = _Buffers(window=torch.hamming_window(_N_WINDOW))
        self.mel_scale = _Buffers(fb=calc_mel_filters(_N_FFT, N_MELS, SAMPLE_RATE, _F_MIN, _F_MAX))

    def forward(self, audio: Tensor) -> Tensor:
        """Give the mel spectrograms."""
        return calc_mel_spectrogram(audio, self.mel_scale.fb, self.spectrogram.window, _HOP)


class _Buffers(nn.Module):
    fb: Tensor
    window: Tensor

    def __init__(self, **tensors: Tensor):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


class Res2Block(nn.Module):
    """
    A residual block on (B, C, T): groups of channels, each convolved together with the result of the group before.

    Source: Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", 2019, section 3.1, with the last group kept
    instead of the first.
    """

    def __init__(self, n_channels: int, dilation: int):
        super().__init__()
        width = n_channels // _SCALE
        self.conv1 = nn.Conv1d(n_channels, n_channels, kernel_size=1)
        self.bn1 = nn.BatchNorm1d(n_channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel_size=3, dilation=dilation, padding=dilation) for _ in range(_SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(_SCALE - 1))
        self.conv3 = nn.Conv1d(n_channels, n_channels, kernel_size=1)
        self.bn3 = nn.BatchNorm1d(n_channels)
        self.relu = nn.ReLU()
        self.se = SqueezeExcitation(n_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, C, T)."""
        *groups, kept = self.bn1(self.relu(self.conv1(x))).chunk(_SCALE, dim=1)
        results: list[Tensor] = []
        for group, conv, bn in zip(groups, self.convs, self.bns, strict=True):
            group = group + results[-1] if results else group
            results.append(bn(self.relu(conv(group))))
        out = self.bn3(self.relu(self.conv3(torch.cat([*results, kept], dim=1))))
        scaled: Tensor = self.se(out) + x
        return scaled


class SqueezeExcitation(nn.Module):
    """Scales the channels of (B, C, T) by what their means over time say; Hu et al., "Squeeze-and-Excitation", 2018."""

    def __init__(self, n_channels: int, n_bottleneck: int = 128):
        super().__init__()
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(n_channels, n_bottleneck, kernel_size=1),
            nn.ReLU(),
            nn.Conv1d(n_bottleneck, n_channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, C, T)."""
        scaled: Tensor = x * self.se(x)
        return scaled
