"""Threads of our own for work that falls into independent parts: each computes alone, none waits for the others."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

_LEAST_MEMORY = 24 * 2**20  # bytes that a worker needs for products of a good size
LEAST_WORK = 2**28  # multiplications below which starting threads does not pay

T = TypeVar("T")
R = TypeVar("R")


def get_n_workers(device: torch.device, n_operations: int, memory: int) -> int:
    """
    Give how many workers to use: as many as torch has threads on a CPU, fewer where memory is short; one elsewhere.

    Args:
        device: where is computed.
        n_operations: multiplications to be done.
        memory: bytes that all workers may take together.

    """
    if device.type != "cpu" or n_operations < LEAST_WORK:
        return 1
    return max(1, min(torch.get_num_threads(), memory // _LEAST_MEMORY))


def run_in_threads(
    function: Callable[[T], R], items: Sequence[T], n_workers: int, on_done: Callable[[T, R], object]
) -> None:
    """
    Call the function with the items, in rounds of as many as there are workers; the first error is raised.

    With one worker it is called here. More workers share the threads of torch evenly; the caller's number of threads is
    put back at the end.

    Args:
        function: what to do; gradients are off in it. It should consist of long steps: threads of Python that make many
            short ones wait for each other.
        items: what to do it with.
        n_workers: how many items are worked on at a time.
        on_done: called in the calling thread with each item and what came of it, while the workers are at rest.

    """
    if n_workers == 1:
        for item in items:
            on_done(item, function(item))
        return
    n_threads = torch.get_num_threads()

    def start() -> None:
        torch.set_num_threads(max(1, n_threads // n_workers))  # of this thread; new ones begin with the same

    def work(item: T) -> R:
        with torch.no_grad():
            return function(item)

    pool = ThreadPoolExecutor(n_workers, initializer=start)
    try:
        for first in range(0, len(items), n_workers):
            part = items[first : first + n_workers]
            for item, result in zip(part, list(pool.map(work, part)), strict=True):
                on_done(item, result)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)
