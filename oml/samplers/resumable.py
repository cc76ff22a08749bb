"""Batch samplers whose epochs are repeatable and can be resumed in the middle."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from oml.errors import check
from oml.interfaces.samplers import IBatchSampler


def make_generator(epoch_seed: list[int], *key: int) -> np.random.Generator:
    """
    Give a generator for one purpose within an epoch; other keys give independent ones.

    Example:
        >>> bool(make_generator([3, 0], 1).random() == make_generator([3, 0], 1).random())
        True

    """
    return np.random.default_rng(np.random.SeedSequence(epoch_seed, spawn_key=key))


class ResumableBatchSampler(IBatchSampler):
    """
    Keeps the seed of the epoch and the number of batches given; a child forms batches from a seed.

    Args:
        seed: Makes epoch e the same in each run. By default each epoch takes a number from numpy's global generator.

    """

    def __init__(self, seed: int | None = None) -> None:
        check(seed is None or seed >= 0, f"seed must be a whole number that is not negative, or None, got {seed}.")
        self._seed = seed
        self._epoch = 0
        self._epoch_seed: list[int] | None = None  # None before the epoch has started
        self._n_given = 0
        self._resumes = False

    @abstractmethod
    def _iterate(self, epoch_seed: list[int], start: int) -> Iterator[list[int]]:
        """Give the batches of the epoch from the one numbered `start` on; the seed decides everything."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Give the number of items in a batch."""

    def __iter__(self) -> Iterator[list[int]]:
        """Give the batches of the next epoch, or the rest of the epoch whose state was loaded."""
        if not self._resumes:
            self._start_epoch()
        self._resumes = False
        assert self._epoch_seed is not None
        for batch in self._iterate(self._epoch_seed, self._n_given):
            self._n_given += 1
            yield batch

    def _start_epoch(self) -> None:
        if self._epoch_seed is not None:
            self._epoch += 1
        self._n_given = 0
        # numpy's global generator speaks 32 bits at a time
        self._epoch_seed = [self._seed, self._epoch] if self._seed is not None else [int(np.random.randint(2**31))]

    def set_epoch(self, epoch: int) -> None:
        """
        Make the next epoch this one, unless it is the epoch whose rest is still to come after `load_state_dict`.

        Without a seed the number is only kept.
        """
        if self._resumes and epoch == self._epoch:
            return
        self._epoch = epoch
        self._epoch_seed = None
        self._n_given = 0
        self._resumes = False

    def state_dict(self, n_batches: int | None = None) -> dict[str, Any]:
        """
        Give what is needed to go on with the very next batch.

        Args:
            n_batches: How many batches of this epoch were used, if it is less than what was asked for: a loader with
                workers asks ahead.

        """
        n_given = self._n_given if n_batches is None else n_batches
        return {"epoch": self._epoch, "epoch_seed": self._epoch_seed, "n_batches": n_given, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        Take the state of a sampler with the same labels and sizes: the next iteration gives the rest of its epoch.

        After the last batch of an epoch the next iteration is the next epoch.
        """
        self._epoch, self._seed, self._n_given = state["epoch"], state["seed"], state["n_batches"]
        self._epoch_seed = state["epoch_seed"]
        self._resumes = self._epoch_seed is not None and self._n_given < len(self)
