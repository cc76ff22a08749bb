"""A disk without space, as far as a process may have one: the system lets it write only so many bytes to a file."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit_files(n_bytes: int) -> Iterator[None]:
    """Let writing beyond so many bytes of any file fail with an OSError, as it does where there is no space."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
