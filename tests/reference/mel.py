"""A mel spectrogram by loops over frames, samples and bands, from the definitions."""

import cmath
import math


def filters(n_fft: int, n_mels: int, sample_rate: int, f_min: float, f_max: float) -> list[list[float]]:
    """Give the weight of each frequency in each band."""

    def to_mel(f: float) -> float:
        return 2595 * math.log10(1 + f / 700)

    def to_hz(mel: float) -> float:
        return 700 * (10 ** (mel / 2595) - 1)

    step = (to_mel(f_max) - to_mel(f_min)) / (n_mels + 1)
    points = [to_hz(to_mel(f_min) + i * step) for i in range(n_mels + 2)]
    weights = []
    for k in range(n_fft // 2 + 1):
        f = k * sample_rate / n_fft
        row = []
        for start, peak, end in zip(points, points[1:], points[2:], strict=False):
            if start < f <= peak:
                row.append((f - start) / (peak - start))
            elif peak < f < end:
                row.append((end - f) / (end - peak))
            else:
                row.append(0.0)
        weights.append(row)
    return weights


def spectrogram(
    samples: list[float], weights: list[list[float]], window: list[float], hop_length: int
) -> list[list[float]]:
    """Give the power of each band in each frame: bands, then frames."""
    n_fft, n = 2 * (len(weights) - 1), len(samples)
    left = (n_fft - len(window)) // 2
    padded_window = [0.0] * left + window + [0.0] * (n_fft - len(window) - left)

    def sample(i: int) -> float:
        if i < 0:
            return samples[-i]
        return samples[i] if i < n else samples[2 * (n - 1) - i]

    frames = []
    for centre in range(0, n + 1, hop_length):
        frame = [padded_window[j] * sample(centre - n_fft // 2 + j) for j in range(n_fft)]
        power = []
        for k in range(n_fft // 2 + 1):
            value = sum(x * cmath.exp(-2j * math.pi * k * j / n_fft) for j, x in enumerate(frame))
            power.append(abs(value) ** 2)
        frames.append([sum(p * row[m] for p, row in zip(power, weights, strict=True)) for m in range(len(weights[0]))])
    return [list(band) for band in zip(*frames, strict=True)]
