"""Files: hashes of what is there, and writing so that nothing half-written is ever seen."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

CHUNK_BYTES = 2**20


@contextmanager
def atomic_path(
    path: Path | str, replace_folder: bool = False, keep_if: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """
    Give a temporary path to write a file or a folder to; it takes the final place when the block ends without an error.

    The temporary path has the same name (so the same extension), lies on the same file system and does not exist yet.
    Missing parent folders are made. After an error nothing of it is left and the final path is as it was. Several
    processes may write the same path at once: each puts a whole result in place. A killed process may leave a hidden
    temporary folder beside the final path, never a part in its place.

    Args:
        path: The final place. An existing file is replaced.
        replace_folder: Whether a non-empty folder that is there may be thrown away for the new one.
        keep_if: Asked about what is at the final place when the block has ended; where it says True, that is kept and
            the new one thrown away. For results that another process may have finished meanwhile.

    Raises:
        FileNotFoundError: the block ended without an error, but wrote nothing.
        FileExistsError: there is a non-empty folder already, and it may not be replaced.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(f"{folder}/runs/result.txt") as path:
        ...         _ = path.write_text("done")
        ...     Path(folder, "runs", "result.txt").read_text()
        'done'

    """
    final = Path(path).absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as folder:
        temporary = Path(folder) / final.name
        yield temporary
        if not os.path.lexists(temporary):
            raise FileNotFoundError(
                f"Nothing was written to the temporary path of {final}. Write to the path that `atomic_path` gives."
            )
        _put_in_place(temporary, final, Path(folder), replace_folder, keep_if)


def _put_in_place(
    new: Path, final: Path, bin_folder: Path, replace_folder: bool, keep_if: Callable[[Path], bool] | None
) -> None:
    while True:  # a second round happens only if another process took the place between two lines
        if keep_if is not None and final.exists() and keep_if(final):
            return
        try:
            os.replace(new, final)  # fails on a folder that is not empty, and between a file and a folder
            return
        except OSError:
            if not os.path.lexists(final):
                raise
            if not replace_folder and _holds_files(final):
                raise FileExistsError(
                    f"The folder {final} is not empty, and is not replaced so that nothing of yours is lost. "
                    "Delete it or choose another one."
                ) from None
        with suppress(FileNotFoundError):
            os.replace(final, bin_folder / str(uuid4()))


def _holds_files(folder: Path) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        return any(folder.iterdir())
    return False


def calc_hash(source: Path | str | bytes) -> str:
    """
    Give the MD5 hash, as text, of a file's content or of the given bytes. Files are read in pieces of 1 MiB.

    Raises:
        TypeError: the source is neither a path nor bytes.
        FileNotFoundError: there is no such file.

    Example:
        >>> calc_hash(b"")
        'd41d8cd98f00b204e9800998ecf8427e'

    """
    digest = hashlib.md5(usedforsecurity=False)  # tells damaged files from whole ones, not friends from foes
    if isinstance(source, bytes):
        digest.update(source)
    elif isinstance(source, (Path, str)):
        with Path(source).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    else:
        raise TypeError(f"source must be a path or bytes, got {type(source).__name__}.")
    return digest.hexdigest()


def calc_folder_hash(folder: Path | str) -> str:
    """
    Give the MD5 hash of a folder: of all files' relative names, sorted and joined, and then of each file's own hash.

    Neither dates nor permissions nor empty folders count.

    Raises:
        NotADirectoryError: there is no such folder.

    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be an existing folder, got {folder}.")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    digest = hashlib.md5("".join(names).encode(), usedforsecurity=False)
    for name in names:
        digest.update(calc_hash(folder / name).encode())
    return digest.hexdigest()


def check_exists_and_validate_md5(path: Path | str, md5: str | None = None) -> bool:
    """Tell whether the file or the folder exists and, where a hash is given, has this MD5 hash."""
    path = Path(path)
    if not path.exists():
        return False
    return md5 is None or md5 == (calc_folder_hash(path) if path.is_dir() else calc_hash(path))
