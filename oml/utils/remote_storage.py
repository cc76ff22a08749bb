"""
Files and folders of the storage that the project's own checkpoints and data sets lie in, `oml.const.STORAGE_URL`.

The server answers `/download/<path>` with a file, and `/ls/<path>` with a list in JSON of what a folder holds: paths of
files, relative to the folder, and names of its folders, ending with a slash.
"""

from pathlib import Path, PurePosixPath

from oml.const import REQUESTS_TIMEOUT, STORAGE_URL
from oml.errors import check


def download_file_from_remote_storage(
    remote_path: Path | str, fname: Path | str | None = None, timeout: float = REQUESTS_TIMEOUT
) -> Path:
    """
    Download a file of the storage and give its path; a file that is there already is replaced.

    Args:
        remote_path: The path of the file in the storage, such as `"checkpoints/cub/vits16_cub.ckpt"`.
        fname: The path to write to; by default the file's own name, in the current folder.
        timeout: Seconds to wait for the server to answer, and for each next piece.

    Raises:
        DownloadError: the server does not give the file.
        OSError: the file cannot be written.

    """
    from oml.utils.io import download_file_from_url

    return download_file_from_url(_get_address("download", remote_path), fname, timeout)


def download_folder_from_remote_storage(
    remote_folder: Path | str, local_folder: Path | str, timeout: float = REQUESTS_TIMEOUT
) -> None:
    """
    Download a folder of the storage, with the folders in it.

    Args:
        remote_folder: The path of the folder in the storage.
        local_folder: Where its content is written; made if it is not there, files in it are replaced.
        timeout: Seconds to wait for the server to answer, and for each next piece.

    Raises:
        DownloadError: the server does not give the list or a file.
        InvalidInputError: the list names something outside of the folder.
        OSError: a file cannot be written.

    """
    for name in _list_folder(remote_folder, timeout):
        check(
            not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts and "\\" not in name,
            f"The storage lists {name!r} in {remote_folder}, which lies outside of it; nothing more was written.",
        )
        remote, local = PurePosixPath(remote_folder) / name, Path(local_folder) / name
        if name.endswith("/"):
            download_folder_from_remote_storage(str(remote), local, timeout)
        else:
            download_file_from_remote_storage(str(remote), local, timeout)


def _list_folder(remote_folder: Path | str, timeout: float) -> list[str]:
    import requests

    from oml.utils.download import DownloadError

    url = _get_address("ls", remote_folder)
    try:
        response = requests.get(url, timeout=timeout)
        names = response.json() if response.status_code == 200 else None
    except (requests.RequestException, ValueError) as error:
        raise DownloadError(f"The list {url} could not be read: {error}. Connect to the network.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DownloadError(f"The list {url} could not be read: the server answered {response.status_code}.")
    return names


def _get_address(action: str, path: Path | str) -> str:
    from urllib.parse import quote

    return f"{STORAGE_URL}/{action}/{quote(PurePosixPath(path).as_posix().strip('/'))}"
