"""Bundles in repositories of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from oml.errors import check

HUB_PREFIX = "hf://"
_FILES = ["weights.safetensors", "bundle.json", "README.md", "tokenizer/*"]


def push_bundle(
    folder: Path | str,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """
    Upload a bundle to a repository of the Hugging Face hub, which is made if it is not there.

    Args:
        folder: The folder that `save_bundle` has written.
        repo_id: `"owner/name"`.
        private: Whether a new repository is visible to its owner only.
        revision: The branch to write to; the main one by default.
        token: To be allowed to; by default the one that `hf auth login` has stored.
        endpoint: Address of the hub; by default `HF_ENDPOINT` of the environment, or the public hub.

    Returns:
        The address of the commit.

    Raises:
        FileNotFoundError: the folder is no bundle.
        InvalidInputError: the name is not of the form `owner/name`.
        OSError: the hub cannot be reached, or refuses.

    """
    from huggingface_hub import HfApi

    _check_repo_id(repo_id)
    if not (Path(folder) / "bundle.json").is_file():
        raise FileNotFoundError(f"{folder} is no bundle: it has no bundle.json. Write one with oml.save_bundle.")
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, revision=revision, allow_patterns=_FILES, commit_message="Add a bundle"
        )
    except _get_network_errors() as error:
        raise OSError(
            f"The bundle {folder} could not be uploaded to {repo_id}: {error} Check the network, log in with "
            "`hf auth login`, and check that you may write there."
        ) from error
    return str(commit.commit_url)


def pull_bundle(
    repo_id: str, revision: str | None = None, token: str | None = None, endpoint: str | None = None
) -> Path:
    """
    Download a bundle from the Hugging Face hub, only what is not in the hub's cache yet, and give its folder.

    Args:
        repo_id: `"owner/name"`.
        revision: A branch, a tag or a commit; the main branch by default.
        token: For private repositories; by default the one that `hf auth login` has stored.
        endpoint: Address of the hub; by default `HF_ENDPOINT` of the environment, or the public hub.

    Raises:
        InvalidInputError: the name is not of the form `owner/name`.
        OSError: the hub cannot be reached, or has no such repository.

    """
    from huggingface_hub import snapshot_download

    _check_repo_id(repo_id)
    try:
        found = snapshot_download(
            repo_id, revision=revision, token=token, endpoint=endpoint, allow_patterns=_FILES, max_workers=2
        )
    except _get_network_errors() as error:
        raise OSError(
            f"The bundle {repo_id} could not be downloaded: {error} Check its name and the network; for a private one "
            "log in with `hf auth login`. Or copy its folder here and load that."
        ) from error
    return Path(found)


def _get_network_errors() -> tuple[type[BaseException], ...]:
    from huggingface_hub.errors import HfHubHTTPError

    # Versions of the client use different libraries; each has one base class of errors, which the client's own extends.
    return OSError, HfHubHTTPError.__bases__[0]


def _check_repo_id(repo_id: str) -> None:
    is_name = repo_id.count("/") == 1 and all(repo_id.split("/"))
    check(is_name, f"repo_id must be 'owner/name', got {repo_id!r}. For example 'shop/shoes-vits16'.")
