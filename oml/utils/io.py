"""Files: hashes of what is there, downloads, and writing so that nothing half-written is ever seen."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast
from uuid import uuid4

from oml.const import CKPT_SAVE_ROOT, REQUESTS_TIMEOUT
from oml.errors import check

CHUNK_BYTES = 2**20
# Disk full, quota used up, and file larger than the file system or the system allows.
NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}


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
        OSError: the place cannot be written to, before the block begins; or the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(f"{folder}/runs/result.txt") as path:
        ...         _ = path.write_text("done")
        ...     Path(folder, "runs", "result.txt").read_text()
        'done'

    """
    final = Path(path).absolute()
    with _make_folder_beside(final) as folder:
        temporary = Path(folder) / final.name
        try:
            yield temporary
        except OSError as error:
            if error.errno is None or error.errno not in NO_SPACE:
                raise
            raise OSError(
                error.errno,
                f"There is no space for {final} ({os.strerror(error.errno)}), so it is as it was. Make space there, or "
                "choose another place",
            ) from error
        if not os.path.lexists(temporary):
            raise FileNotFoundError(
                f"Nothing was written to the temporary path of {final}. Write to the path that `atomic_path` gives."
            )
        _put_in_place(temporary, final, Path(folder), replace_folder, keep_if)


def _make_folder_beside(final: Path) -> TemporaryDirectory[str]:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{final} cannot be written to, as {error.filename} tells: {error.strerror}. Choose another place",
        ) from error


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


@contextmanager
def open_sink(path: Path) -> Iterator[IO[bytes]]:
    """
    Give a file to write to by a library that would lose the reason why a write failed.

    Such are `torch.save` and `numpy.save`. The first error is raised when the block ends.

    Raises:
        OSError: something could not be written.

    """
    with path.open("wb") as file:
        sink = _Sink(file)
        yield cast("IO[bytes]", sink)
        if sink.error is not None:
            raise sink.error


class _Sink:
    def __init__(self, file: IO[bytes]):
        self.error: OSError | None = None
        self._file = file

    def write(self, content: bytes) -> int:
        if self.error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self.error = error
        return len(content)

    def flush(self) -> None:
        pass


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
    if isinstance(source, bytes):
        return hashlib.md5(source, usedforsecurity=False).hexdigest()
    if isinstance(source, (Path, str)):
        return _calc_file_hash(source, "md5")
    raise TypeError(f"source must be a path or bytes, got {type(source).__name__}.")


def has_hash(path: Path | str, expected: str) -> bool:
    """
    Tell whether the hash of a file begins with the expected hexadecimal digits.

    It is the MD5 hash, unless there are the 64 digits of a SHA-256 hash, or its first digits behind `"sha256:"`.

    Raises:
        InvalidInputError: what is expected is empty or no hexadecimal number.

    """
    digits = expected.removeprefix("sha256:").lower()
    check(
        re.fullmatch("[0-9a-f]{1,64}", digits) is not None,
        f"A hash must be given as hexadecimal digits, behind 'sha256:' for SHA-256, got {expected!r}.",
    )
    is_sha256 = expected.startswith("sha256:") or len(digits) == 64
    return _calc_file_hash(path, "sha256" if is_sha256 else "md5").startswith(digits)


def _calc_file_hash(path: Path | str, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)  # tells damaged files from whole ones, not friends from foes
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
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


def download_file_from_url(url: str, fname: Path | str | None = None, timeout: float = REQUESTS_TIMEOUT) -> Path:
    """
    Download a file and give its path; a file that is there already is replaced when the new one is whole.

    Args:
        url: The address.
        fname: The path to write to; by default the file's own name, in the current folder.
        timeout: Seconds to wait for the server to answer, and for each next piece.

    Raises:
        DownloadError: the server does not give the file; it is a RuntimeError and an OSError.
        OSError: the file cannot be written.

    """
    from oml.utils.download import download, get_name

    return download(url, get_name(url) if fname is None else fname, timeout=timeout, keep_existing=False)


def download_checkpoint(url_or_fid: str, hash_md5: str | None, fname: str | None = None) -> Path:
    """
    Give the path of a checkpoint in the cache folder; it is downloaded unless it is there with the right hash.

    Args:
        url_or_fid: An address, or the id of a file at Google Drive.
        hash_md5: The hash of the file or its beginning, see `has_hash`; None checks nothing.
        fname: The name in the folder `oml.const.CKPT_SAVE_ROOT`; by default the last part of the address.

    Raises:
        DownloadError: the file cannot be had; the message says which file to put where.
        OSError: the file cannot be written.

    """
    return download_checkpoint_one_of(url_or_fid, hash_md5, fname)


def download_checkpoint_one_of(
    url_or_fid_list: str | Sequence[str], hash_md5: str | None, fname: str | None = None
) -> Path:
    """
    Give the path of a checkpoint in the cache folder like `download_checkpoint`, from the first source that has it.

    Args:
        url_or_fid_list: Addresses, or ids of files at Google Drive, in the order to try them in.
        hash_md5: The hash of the file or its beginning, see `has_hash`; None checks nothing.
        fname: The name in the folder `oml.const.CKPT_SAVE_ROOT`; by default the last part of the first address.

    Raises:
        DownloadError: no source gives the file; the message says why, and which file to put where.
        OSError: the file cannot be written.

    """
    from oml.utils.download import download, get_name

    sources = [url_or_fid_list] if isinstance(url_or_fid_list, str) else list(url_or_fid_list)
    check(len(sources) > 0, "url_or_fid_list must hold at least one address or id, got none.")
    return download(sources, CKPT_SAVE_ROOT / (get_name(sources[0]) if fname is None else fname), hash_md5)
