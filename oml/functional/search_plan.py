"""How large the blocks of the search may be, so that it stays within its memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from oml.errors import check

_CPU_MEMORY = 256 * 2**20
_CUDA_MEMORY = 2 * 2**30
# queries and galleries of a product, measured: as large as the caches of a core; on a CUDA device as keeps it busy.
# Selecting in wide rows of bfloat16 pays where many answers are wanted.
_CPU_BLOCK, _COARSE_CPU_BLOCK, _CUDA_BLOCK = (1024, 2048), (256, 6144), (1024, 8192)
_DEPTH = 12  # products per block of galleries: what preparing them costs is spread over so many
_BYTES_PER_PAIR = (
    26  # float32: score, a copy of crowded rows, mask, the positions of candidates at worst; with some room
)
# numbers compared at once from the vectors: few calls, which threads of Python make one after another
_MIN_CHUNK, _CPU_CHUNK, _CUDA_CHUNK = 2**12, 3 * 2**17, 2**24


@dataclass(frozen=True)
class Plan:
    """
    Sizes of the blocks: `queries` x `galleries` in a product, `depth` products of queries per block of galleries,
    `chunk` numbers when distances are taken exactly.
    """

    queries: int
    galleries: int
    chunk: int
    depth: int = 1

    def split_queries(self, n: int, n_workers: int = 1) -> list[tuple[int, int]]:
        """Give the ends of the blocks of queries, even ones, as many as workers at least."""
        n_blocks = max(-(-n // (self.queries * self.depth)), min(n_workers, -(-n // self.queries)))
        n_blocks = -(-n_blocks // n_workers) * n_workers if n_blocks > n_workers else n_blocks
        size = max(1, -(-n // max(1, n_blocks)))
        return [(start, min(start + size, n)) for start in range(0, n, size)]

    def split_galleries(self, n: int) -> Iterator[tuple[int, int]]:
        """Give the ends of the blocks of galleries."""
        return ((start, min(start + self.galleries, n)) for start in range(0, n, self.galleries))


def get_default_memory(device: torch.device) -> int:
    """
    Give the bytes that a search takes by default: 256 MiB, on a CUDA device up to 2 GiB of an eighth of what is free.
    """
    if device.type != "cuda":
        return _CPU_MEMORY
    return max(_CPU_MEMORY, min(_CUDA_MEMORY, torch.cuda.mem_get_info(device)[0] // 8))


def make_plan(
    n_queries: int,
    n_galleries: int,
    dim: int,
    width: int,
    itemsize: int,
    max_memory: int,
    device: torch.device,
    n_workers: int = 1,
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
        n_workers: how many blocks of queries are searched at the same time.

    Raises:
        InvalidInputError: not even a block of one query and one gallery fits; the message has the least that does.

    """
    fixed = 16 * (n_queries + n_galleries) // n_workers  # lengths of the vectors, sorted keys
    on_cpu = _COARSE_CPU_BLOCK if itemsize == 2 else _CPU_BLOCK
    most_queries, most_galleries = _CUDA_BLOCK if device.type == "cuda" else on_cpu
    queries, galleries = max(1, min(n_queries, most_queries)), max(1, min(n_galleries, most_galleries))
    chunk = _CUDA_CHUNK if device.type == "cuda" else _CPU_CHUNK
    depth = max(1, min(_DEPTH, -(-n_queries // (queries * n_workers))))
    memory = max_memory // n_workers

    def calc_cost() -> int:
        pairs = queries * galleries * (_BYTES_PER_PAIR - 8 + 2 * itemsize)
        blocks = (2 * galleries * dim + queries * depth * dim) * (itemsize + 8)
        shortlist = queries * depth * (width * 24 + 64)
        return fixed + pairs + blocks + shortlist + max(chunk, dim) * 32

    while calc_cost() > memory and (queries > 1 or galleries > 1 or chunk > _MIN_CHUNK or depth > 1):
        if chunk > _MIN_CHUNK and chunk * 32 > memory // 8:
            chunk //= 2
        elif depth > 1:
            depth //= 2
        elif galleries >= queries and galleries > 1:
            galleries = (galleries + 1) // 2
        elif queries > 1:
            queries = (queries + 1) // 2
        else:
            chunk //= 2
    check(
        calc_cost() <= memory,
        f"`max_memory` is too small: the search needs at least {calc_cost() * n_workers} bytes here, got {max_memory}.",
    )
    return Plan(queries, galleries, chunk, depth)
