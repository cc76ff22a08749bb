"""Image operations written from their definitions, pixel by pixel."""

import numpy as np


def resize_bilinear_plain(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sample (H, W, C) at the centres of the new pixels, no antialias, borders repeated (OpenCV's INTER_LINEAR)."""
    old_height, old_width = image.shape[:2]
    result = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            source_y = min(max((y + 0.5) * old_height / height - 0.5, 0), old_height - 1)
            source_x = min(max((x + 0.5) * old_width / width - 0.5, 0), old_width - 1)
            top, left = int(source_y), int(source_x)
            bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
            part_y, part_x = source_y - top, source_x - left
            result[y, x] = (
                image[top, left] * (1 - part_y) * (1 - part_x)
                + image[top, right] * (1 - part_y) * part_x
                + image[bottom, left] * part_y * (1 - part_x)
                + image[bottom, right] * part_y * part_x
            )
    return np.round(result)


def fit_and_normalise_plain(image: np.ndarray, im_size: int, mean: tuple, std: tuple) -> np.ndarray:
    """Longest side to `im_size`, the rest white and even, then (C, H, W) of (x / 255 - mean) / std."""
    height, width = image.shape[:2]
    new_height = max(round(height * im_size / max(height, width)), 1)
    new_width = max(round(width * im_size / max(height, width)), 1)
    canvas = np.full((im_size, im_size, 3), 255.0)
    top, left = (im_size - new_height) // 2, (im_size - new_width) // 2
    canvas[top : top + new_height, left : left + new_width] = resize_bilinear_plain(image, new_height, new_width)
    return np.stack([(canvas[:, :, c] / 255 - mean[c]) / std[c] for c in range(3)])
