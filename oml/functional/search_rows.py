"""Rows of a matrix, read a block at a time from wherever they are: a tensor, an array, a memory-mapped file."""

import numpy as np
import torch
from torch import Tensor

from oml.errors import check, show_some

TMatrix = Tensor | np.ndarray
_NORM_BLOCK = 2**18  # numbers squared at once


class Rows:
    """
    The chosen rows of a matrix (N, D), given out in blocks on one device and in one dtype, never copied as a whole.

    Args:
        matrix: float tensor or array (N, D); a memory-mapped one stays on the disk.
        name: what error messages call it.
        rows: positions of the chosen rows, (n,); all of them by default.

    """

    def __init__(self, matrix: TMatrix, name: str, rows: Tensor | None = None):
        is_float = (
            matrix.is_floating_point() if isinstance(matrix, Tensor) else np.issubdtype(matrix.dtype, np.floating)
        )
        check(matrix.ndim == 2, f"`{name}` must have the shape (n, D), got {tuple(matrix.shape)}.")
        check(bool(is_float), f"`{name}` must hold floating point numbers, got {matrix.dtype}. Cast them: x.float().")
        self.name = name
        self.matrix = matrix.detach() if isinstance(matrix, Tensor) else matrix
        self.rows = rows if rows is None or not _is_range(rows) else None
        self.start = int(rows[0]) if rows is not None and self.rows is None and len(rows) else 0
        self.n = len(matrix) if rows is None else len(rows)
        self.dim = matrix.shape[1]
        self.device = matrix.device if isinstance(matrix, Tensor) else torch.device("cpu")
        self.dtype = torch.float64 if str(matrix.dtype).endswith("float64") else torch.float32

    def to(self, device: torch.device, dtype: torch.dtype) -> "Rows":
        """Choose where and in which dtype the blocks are given out; moves nothing yet."""
        self.device, self.dtype = device, dtype
        return self

    def block(self, start: int, stop: int) -> Tensor:
        """Give the rows from `start` to `stop`, (stop - start, D)."""
        if self.rows is None:
            return self._cast(self.matrix[self.start + start : self.start + stop])
        return self._gather(self.rows[start:stop])

    def take(self, positions: Tensor) -> Tensor:
        """Give the rows at these positions among the chosen ones, (len(positions), D)."""
        return self._gather(positions + self.start if self.rows is None else self.rows[positions.to(self.rows.device)])

    def calc_square_norms(self) -> Tensor:
        """
        Give the squared lengths of all rows, (n,), summed in float64.

        Raises:
            InvalidInputError: a row holds NaN or infinity, or numbers too large to be squared; the first rows are
                named.

        """
        norms = torch.empty(self.n, dtype=torch.float64, device=self.device)
        step = max(1, _NORM_BLOCK // max(1, self.dim))
        for start in range(0, self.n, step):
            block = self.block(start, min(start + step, self.n))  # may be the matrix itself: not to be written to
            norms[start : start + len(block)] = block.double().square().sum(1)
        bad = (~norms.isfinite()).nonzero()[:, 0]
        if len(bad):
            bad = bad.cpu() + self.start if self.rows is None else self.rows[bad.to(self.rows.device)]
            check(
                False,
                f"`{self.name}` must be finite, but {len(bad)} row(s) hold NaN or infinite numbers: "
                f"rows {show_some(bad.tolist())}. Look at the inputs of these "
                "items, and at the model's weights if there are many.",
            )
        return norms

    def _gather(self, ids: Tensor) -> Tensor:
        if isinstance(self.matrix, Tensor):
            return self._cast(self.matrix.index_select(0, ids.to(self.matrix.device)))
        return self._cast(self.matrix[ids.cpu().numpy()])

    def _cast(self, block: TMatrix) -> Tensor:
        if not isinstance(block, Tensor):
            # a read-only file cannot back a tensor: its block is copied
            block = torch.from_numpy(np.array(block) if not block.flags.writeable else np.ascontiguousarray(block))
        return block.to(self.device, self.dtype).contiguous()


def _is_range(rows: Tensor) -> bool:
    return len(rows) > 0 and bool((rows[1:] - rows[:-1] == 1).all())
