"""Contents of the files that were read last."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from oml.errors import check


class FileCache:
    """
    Keep the contents of the `max_files` files that were used last in memory.

    It can be sent to loader processes: each starts with what was read before a fork, or empty after a spawn.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     cache = FileCache(max_files=2)
        ...     _ = Path(file.name).write_text("first")
        ...     before = cache.read(file.name)
        ...     _ = Path(file.name).write_text("second")
        ...     before, cache.read(file.name)
        (b'first', b'first')

    """

    def __init__(self, max_files: int):
        check(max_files >= 0, f"The number of files in a cache must not be negative, got {max_files}.")
        self.max_files = max_files
        self._contents: OrderedDict[str, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contents)

    def read(self, path: Path | str) -> bytes:
        """
        Give the content of the file, from memory where it is there.

        Raises:
            OSError: the file cannot be read.

        """
        key = str(path)
        content = self._contents.pop(key, None)
        if content is None:
            content = Path(path).read_bytes()
        self._contents[key] = content  # the last one is the one used last
        if len(self._contents) > self.max_files:
            self._contents.popitem(last=False)
        return content

    def __getstate__(self) -> dict[str, Any]:
        return {"max_files": self.max_files, "_contents": OrderedDict()}
