"""Threads of our own for work that falls into independent parts: each computes alone, none waits for the others."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

_LEAST_MEMORY = 24 * 2**20  # bytes that a worker needs for products of a good size
LEAST_WORK = 2**28  # multiplications below which starting threads does not pay

T = TypeVar("T")


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
    function: Callable[[T], object], items: Iterable[T], n_workers: int, on_done: Callable[[T], object]
) -> None:
    """
    Call the function with each item, in any order; the first error is raised, what has not begun is dropped.

    With one worker it is called here. More workers share the threads of torch evenly; the caller's number of threads is
    put back at the end.

    Args:
        function: what to do; gradients are off in it.
        items: what to do it with.
        n_workers: how many items are worked on at a time.
        on_done: called in the calling thread with each item that is done.

    """
    if n_workers == 1:
        for item in items:
            function(item)
            on_done(item)
        return
    n_threads = torch.get_num_threads()

    def start() -> None:
        torch.set_num_threads(max(1, n_threads // n_workers))  # of this thread; new ones begin with the same

    def work(item: T) -> T:
        with torch.no_grad():
            function(item)
        return item

    pool = ThreadPoolExecutor(n_workers, initializer=start)
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            on_done(future.result())
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)
