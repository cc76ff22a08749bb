"""Rows of a matrix, read a block at a time from wherever they are: a tensor, an array, a memory-mapped file."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oml.errors import check, show_some

TMatrix = Tensor | np.ndarray
_NORM_BLOCK = 2**18  # numbers squared at once
_CENTRE_SAMPLE = 1024
_SAFE_SQUARES = 1e-20, 1e30  # whose sums neither vanish nor overflow in float32


class Sizes(NamedTuple):
    """Of each row less a centre: its squared length, and the length of what rounding it to bfloat16 takes, float64."""

    square_norms: Tensor
    losses: Tensor


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
        self.is_unit = False

    def to(self, device: torch.device, is_unit: bool = False) -> "Rows":
        """Choose where the blocks are given out, and whether as unit vectors; moves nothing yet."""
        self.device, self.is_unit = device, is_unit
        return self

    def block(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """Give the rows from `start` to `stop`, (stop - start, D); not to be written to."""
        if self.rows is None:
            return self._cast(self.matrix[self.start + start : self.start + stop], dtype)
        return self._gather(self.rows[start:stop], dtype)

    def take(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """Give the rows at these positions among the chosen ones, (len(positions), D); a copy."""
        return self._gather(self.locate(positions), dtype)

    def locate(self, positions: Tensor) -> Tensor:
        """Give the rows of the matrix at these positions among the chosen ones, of the same shape."""
        return positions + self.start if self.rows is None else self.rows[positions.to(self.rows.device)]

    @property
    def exact_dtype(self) -> torch.dtype:
        """Give the narrowest dtype that holds the rows without loss."""
        return torch.float64 if self.is_unit else self.dtype

    def make_room(self, n_numbers: int) -> tuple[Tensor, Tensor]:
        """Give room for `take_into`: for so many numbers in float64, and in the dtype that they are stored in."""
        stored = self.matrix.dtype if isinstance(self.matrix, Tensor) else torch.float64
        wide = torch.empty(n_numbers, dtype=torch.float64, device=self.device)
        is_direct = self.is_unit or stored == torch.float64 or self.device != self.matrix.device
        return wide, wide[:0] if is_direct else torch.empty(n_numbers, dtype=stored, device=self.device)

    def take_into(self, room: tuple[Tensor, Tensor], rows: Tensor) -> Tensor:
        """Give these rows of the matrix (see `locate`), (len(rows), D), float64, in the room."""
        wide, stored = room
        out = wide[: len(rows) * self.dim].view(len(rows), self.dim)
        if not len(stored) or not isinstance(self.matrix, Tensor):
            return out.copy_(self._gather(rows, torch.float64))
        narrow = stored[: out.numel()].view(out.shape)
        return out.copy_(torch.index_select(self.matrix, 0, rows, out=narrow))

    def calc_centre(self) -> Tensor:
        """Give the mean of at most 1024 rows spread over the matrix, (D,), float64; zeros where there are none."""
        if not self.n:
            return torch.zeros(self.dim, dtype=torch.float64, device=self.device)
        positions = torch.arange(0, self.n, max(1, self.n // _CENTRE_SAMPLE))[:_CENTRE_SAMPLE]
        return self.take(positions, torch.float64).mean(0)

    def is_same(self, other: "Rows") -> bool:
        """Tell whether these are all rows of the same matrix."""
        return (
            self.matrix is other.matrix
            and self.rows is other.rows is None
            and ((self.start, self.n, self.is_unit) == (other.start, other.n, other.is_unit))
        )

    def calc_square_norms(self) -> Tensor:
        """
        Give the squared lengths of all rows, (n,), summed in float64.

        Raises:
            InvalidInputError: a row holds NaN or infinity, or numbers too large to be squared; the first rows are
                named.

        """
        norms = torch.empty(self.n, dtype=torch.float64, device=self.device)
        for start, stop in self._split():
            norms[start:stop] = self.block(start, stop, torch.float64).square().sum(1)
        self._check_finite(norms)
        return norms

    def measure(self, centre: Tensor) -> Sizes:
        """
        Give the sizes of all rows less the centre (D,), in the precision of float32 or better.

        Raises:
            InvalidInputError: as in `calc_square_norms`.

        """
        sizes = Sizes(*torch.empty(2, self.n, dtype=torch.float64, device=self.device))
        low, high = _SAFE_SQUARES
        for start, stop in self._split():
            vectors = self.block(start, stop, centre.dtype) - centre
            norms = torch.linalg.vector_norm(vectors, dim=1).double().square_()
            if not bool(((norms >= low) & (norms <= high)).all()):
                vectors = self.block(start, stop, torch.float64) - centre
                norms = torch.linalg.vector_norm(vectors, dim=1).square_()
            sizes.square_norms[start:stop] = norms
            sizes.losses[start:stop] = torch.linalg.vector_norm(vectors.sub_(vectors.bfloat16()), dim=1)
        self._check_finite(sizes.square_norms)
        return sizes

    def _split(self) -> list[tuple[int, int]]:
        step = max(1, _NORM_BLOCK // max(1, self.dim))
        return [(start, min(start + step, self.n)) for start in range(0, self.n, step)]

    def _check_finite(self, norms: Tensor) -> None:
        bad = (~norms.isfinite()).nonzero()[:, 0]
        if len(bad):
            check(
                False,
                f"`{self.name}` must be finite, but {len(bad)} row(s) hold NaN or infinite numbers: "
                f"rows {show_some(self._name_rows(bad))}. Look at the inputs of these "
                "items, and at the model's weights if there are many.",
            )

    def check_not_zero(self, norms: Tensor) -> None:
        """Raise `InvalidInputError` that names the rows of length zero, which have no direction."""
        zero = self._name_rows((norms == 0).nonzero()[:, 0])
        check(
            not zero,
            f"`{self.name}` must hold no zero vectors for the metric 'cosine', but {len(zero)} row(s) are: "
            f"rows {show_some(zero)}. Leave these items out, or search by 'l2'.",
        )

    def _name_rows(self, positions: Tensor) -> list[int]:
        return self.locate(positions).tolist()

    def _gather(self, ids: Tensor, dtype: torch.dtype) -> Tensor:
        if isinstance(self.matrix, Tensor):
            return self._cast(self.matrix.index_select(0, ids.to(self.matrix.device)), dtype)
        return self._cast(self.matrix[ids.cpu().numpy()], dtype)

    def _cast(self, block: TMatrix, dtype: torch.dtype) -> Tensor:
        if not isinstance(block, Tensor):
            # a read-only file cannot back a tensor: its block is copied
            block = torch.from_numpy(np.array(block) if not block.flags.writeable else np.ascontiguousarray(block))
        if not self.is_unit:
            return block.to(self.device, dtype).contiguous()
        block = block.to(self.device, torch.float64)
        unit: Tensor = block / torch.linalg.vector_norm(block, dim=1, keepdim=True)
        return unit.to(dtype)


def _is_range(rows: Tensor) -> bool:
    return len(rows) > 0 and bool((rows[1:] - rows[:-1] == 1).all())
