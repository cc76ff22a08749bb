"""How large the blocks of the search may be, so that it stays within its memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from oml.errors import check

_CPU_MEMORY = 256 * 2**20
_CUDA_MEMORY = 2 * 2**30
_QUERY_BLOCK, _GALLERY_BLOCK = 1024, 8192  # large enough for a fast product, small enough for caches
_BYTES_PER_PAIR = (
    26  # float32: score, a copy of crowded rows, mask, the positions of candidates at worst; with some room
)
# numbers compared at once from the vectors: what caches hold, what keeps a CUDA device busy
_MIN_CHUNK, _CPU_CHUNK, _CUDA_CHUNK = 2**12, 2**16, 2**24


@dataclass(frozen=True)
class Plan:
    """Sizes of the blocks: `queries` x `galleries` in the product, `chunk` numbers when distances are taken exactly."""

    queries: int
    galleries: int
    chunk: int

    def split_queries(self, n: int) -> Iterator[tuple[int, int]]:
        """Give the ends of the blocks of queries."""
        return ((start, min(start + self.queries, n)) for start in range(0, n, self.queries))

    def split_galleries(self, n: int, first: int) -> Iterator[tuple[int, int]]:
        """
        Give the ends of the blocks of galleries: `first` of them, then four times as many and so on up to the limit.

        The first answers come cheaply out of a small block and rule out most of what follows.
        """
        start, size = 0, min(first, self.galleries)
        while start < n:
            yield start, min(start + size, n)
            start, size = start + size, min(4 * size, self.galleries)


def get_default_memory(device: torch.device) -> int:
    """
    Give the bytes that a search takes by default: 256 MiB, on a CUDA device up to 2 GiB of an eighth of what is free.
    """
    if device.type != "cuda":
        return _CPU_MEMORY
    return max(_CPU_MEMORY, min(_CUDA_MEMORY, torch.cuda.mem_get_info(device)[0] // 8))


def make_plan(
    n_queries: int, n_galleries: int, dim: int, width: int, itemsize: int, max_memory: int, device: torch.device
) -> Plan:
    """
    Give the largest blocks, up to a size after which products get no faster, that fit into `max_memory` bytes.

    Args:
        n_queries: Q.
        n_galleries: G.
        dim: D.
        width: candidates kept per query.
        itemsize: bytes of a number in the product.
        max_memory: bytes.
        device: where the product is computed.

    Raises:
        InvalidInputError: not even a block of one query and one gallery fits; the message has the least that does.

    """
    fixed = 8 * (n_queries + n_galleries)  # lengths of the vectors
    queries, galleries = max(1, min(n_queries, _QUERY_BLOCK)), max(1, min(n_galleries, _GALLERY_BLOCK))
    chunk = _CUDA_CHUNK if device.type == "cuda" else _CPU_CHUNK

    def calc_cost() -> int:
        pairs = queries * galleries * (_BYTES_PER_PAIR - 8 + 2 * itemsize)
        blocks = 2 * (queries + galleries) * dim * itemsize
        shortlist = queries * (width * 64 + 64)
        return fixed + pairs + blocks + shortlist + max(chunk, dim) * 32

    while calc_cost() > max_memory and (queries > 1 or galleries > 1 or chunk > _MIN_CHUNK):
        if chunk > _MIN_CHUNK and chunk * 32 > max_memory // 8:
            chunk //= 2
        elif galleries >= queries and galleries > 1:
            galleries = (galleries + 1) // 2
        elif queries > 1:
            queries = (queries + 1) // 2
        else:
            chunk //= 2
    check(
        calc_cost() <= max_memory,
        f"`max_memory` is too small: the search needs at least {calc_cost()} bytes here, got {max_memory}.",
    )
    return Plan(queries, galleries, chunk)
