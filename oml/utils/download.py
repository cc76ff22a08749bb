"""Fetch a file from one of several sources: resumed where it broke off, checked by its hash, put in place whole."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from oml.const import CACHE_PATH, REQUESTS_TIMEOUT
from oml.utils.io import NO_SPACE, has_hash

# Large files at Google Drive come without the page that asks for a confirmation under this address.
GOOGLE_DRIVE = "https://drive.usercontent.google.com/download?id={id}&export=download&confirm=t"
_PIECE_BYTES = 2**16  # what a broken connection may lose
# A server that breaks each connection after some bytes could keep us busy for ever.
_MAX_ATTEMPTS = 100


class DownloadError(RuntimeError, OSError):
    """A file could not be downloaded, from any of its sources."""


def download(
    sources: str | Sequence[str],
    path: Path | str,
    hash_: str | None = None,
    timeout: float = REQUESTS_TIMEOUT,
    keep_existing: bool = True,
) -> Path:
    """
    Give the file at the path; where it is not there, or has another hash, it is downloaded first.

    The sources are tried in order. A broken connection is taken up again where it broke off, also by the next call,
    from a hidden file `.{name}.part` beside the path; if the file at the server has changed meanwhile, it starts anew.
    A file whose hash is wrong is fetched a second time before the next source is tried. Several processes may ask for
    the same file: one downloads, the others wait. Proxies are taken from the environment (HTTPS_PROXY).

    Args:
        sources: Addresses, or ids of files at Google Drive.
        path: Where the file belongs.
        hash_: The hash of the file, see `oml.utils.io.has_hash`; None checks nothing.
        timeout: Seconds to wait for the server to answer, and for each next piece.
        keep_existing: Whether a file that is there, and has the hash if one is given, is taken as it is.

    Raises:
        DownloadError: no source gave the file; the message says why for each of them, and which file to put where.
        OSError: the file cannot be written, for example because the disk is full.

    """
    final = Path(path).expanduser().absolute()
    sources = [sources] if isinstance(sources, str) else list(sources)
    if keep_existing and _is_done(final, hash_):
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with _lock(final):
        if keep_existing and _is_done(final, hash_):  # by another process, while this one waited
            return final
        failures = []
        for source in sources:
            try:
                _fetch_checked(get_address(source), final, hash_, timeout)
                return final
            except DownloadError as error:
                failures.append(f"{source}: {error}")
    raise DownloadError(_advise(final, hash_, failures))


def get_address(source: str) -> str:
    """
    Give the address of a source, which may be an address or the id of a file at Google Drive.

    Example:
        >>> get_address("1p2tUosFpGXh5sCCdzlXtjV87kCDfG34G")
        'https://drive.usercontent.google.com/download?id=1p2tUosFpGXh5sCCdzlXtjV87kCDfG34G&export=download&confirm=t'

    """
    return source if "://" in source else GOOGLE_DRIVE.format(id=source)


def get_name(source: str) -> str:
    """
    Give the name that a downloaded file gets where none is given: the last part of the address.

    Example:
        >>> get_name("https://example.org/models/vit.pth?version=2")
        'vit.pth'

    """
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(source).path)).name or "download"


def _is_done(final: Path, hash_: str | None) -> bool:
    return final.is_file() and (hash_ is None or has_hash(final, hash_))


@contextmanager
def _lock(final: Path) -> Iterator[None]:
    from filelock import FileLock

    path = final.with_name(f".{final.name}.lock")
    with FileLock(path):
        try:
            yield
        finally:
            # Whoever waits opens the name anew at each try, so it may be removed while the lock is held.
            with suppress(OSError):
                path.unlink()


def _fetch_checked(url: str, final: Path, hash_: str | None, timeout: float) -> None:
    part = _Part(final, url)
    try:
        for _ in range(2):
            _fetch(part, timeout)
            size = part.size
            if hash_ is None or has_hash(part.path, hash_):
                os.replace(part.path, final)
                return
            part.remove()
        raise DownloadError(f"what came ({size} bytes) does not have the hash {hash_}, also when fetched again")
    finally:
        if not part.can_be_resumed():
            part.remove()


def _fetch(part: "_Part", timeout: float) -> None:
    """Fill the part, in as many connections as it takes, as long as each of them gets further."""
    from requests import RequestException

    furthest = part.size
    for _ in range(_MAX_ATTEMPTS):
        try:
            if _receive(part, timeout):
                return
            failure = f"the connection ended after {part.size} of {part.total} bytes"
        except RequestException as error:
            failure = f"{type(error).__name__}: {error}"
        except OSError as error:
            if error.errno in NO_SPACE:
                part.remove()
                raise OSError(error.errno, _advise_on_full_disk(part)) from error
            raise
        if part.size <= furthest:
            break
        furthest = part.size
    raise DownloadError(failure)


def _receive(part: "_Part", timeout: float) -> bool:
    """Ask for what is missing and write what comes; tell whether the file is whole."""
    import requests
    from tqdm.auto import tqdm

    # Lengths and ranges must be those of the file itself, not of what was compressed for the way.
    headers = {"Accept-Encoding": "identity", **part.get_range_headers()}
    with requests.get(part.url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416 and "Range" in headers:  # nothing comes after what is here
            if response.headers.get("Content-Range") == f"bytes */{part.size}":
                return True
            part.remove()
            return _receive(part, timeout)
        if response.status_code not in (200, 206):
            raise DownloadError(f"the server answered {response.status_code} {response.reason}")
        is_page = "text/html" in response.headers.get("Content-Type", "")
        if is_page and part.url.startswith(GOOGLE_DRIVE.split("{")[0]):
            raise DownloadError(
                "Google Drive gives a page instead of the file: it is private, gone, or in great demand"
            )
        if not part.begin(response):
            return _receive(part, timeout)
        options: dict[str, Any] = {"desc": part.final.name, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
        with part.path.open("ab") as file, tqdm(total=part.total, initial=part.size, **options) as progress:
            for chunk in response.iter_content(_PIECE_BYTES):
                file.write(chunk)
                progress.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    return part.total is None or part.size == part.total


class _Part:
    """What has come of a file so far, and what the server said about it, so that another process can go on."""

    def __init__(self, final: Path, url: str):
        self.final = final
        self.url = url
        self.path = final.with_name(f".{final.name}.part")
        self._note = final.with_name(f".{final.name}.part.json")
        self.total: int | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def get_range_headers(self) -> dict[str, str]:
        validator = self._read_note().get("validator")
        if not self.size or not validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": validator}

    def can_be_resumed(self) -> bool:
        return bool(self.get_range_headers())

    def begin(self, response: Any) -> bool:
        """Prepare for what comes; False if it cannot be put behind what is here, which is thrown away then."""
        start, self.total = _parse_content_range(response)
        etag = response.headers.get("ETag", "")
        # A weak tag may stay the same when bytes change.
        validator = response.headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
        fits = start == 0 or (start == self.size and validator == self._read_note().get("validator"))
        if start == 0 or not fits:
            self.remove()
        if fits:
            self._note.write_text(json.dumps({"url": self.url, "validator": validator}))
        return fits

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text())
            if isinstance(note, dict) and note.get("url") == self.url:
                return note
        return {}


def _parse_content_range(response: Any) -> tuple[int, int | None]:
    """Give the first byte of what comes and the size of the whole file, None where the server does not tell."""
    if response.status_code == 206:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        try:
            return int(span.split("-")[0]), int(total) if total != "*" else None
        except ValueError as error:
            raise DownloadError("the server gave a part of the file without saying which") from error
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)


def _advise_on_full_disk(part: _Part) -> str:
    size = "of unknown size" if part.total is None else f"of {part.total} bytes"
    return (
        f"The disk is full: {part.final.name} {size} could not be written to {part.final.parent}. Make space there, or "
        f"use another place (XDG_CACHE_HOME chooses the cache folder on Linux)"
    )


def _advise(final: Path, hash_: str | None, failures: Sequence[str]) -> str:
    kind, _, digest = (hash_ or "").rpartition(":")
    check = f" Its {kind.upper() or 'MD5'} hash must begin with {digest}." if hash_ else ""
    cache = " (on Linux, XDG_CACHE_HOME chooses the cache folder)" if CACHE_PATH in final.parents else ""
    return (
        f"{final.name} could not be downloaded. {' '.join(f'[{failure}]' for failure in failures)} Connect to the "
        f"network, set HTTPS_PROXY if there is a proxy, or fetch the file on another machine and put it at "
        f"{final}{cache}.{check}"
    )
