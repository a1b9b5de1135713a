"""Folders that go to the Hub and come from it."""

import os
from pathlib import Path

from msma.errors import StorageError


def upload_folder(folder: str | os.PathLike[str], repository: str, *, private: bool | None = None) -> str:
    """Push a folder to a repository on the Hub, made when it is not there.

    Args:
        folder: What to push.
        repository: Its name there, such as "you/gpt2-msma".
        private: Whether a new repository is private.

    Returns:
        Address of the commit.

    Raises:
        StorageError: When the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=os.fspath(folder)))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"could not push to '{repository}' ({_first_line(error)}); check the name, the connection and your login"
        ) from error


def download_folder(repository: str, *, revision: str | None = None) -> Path:
    """Fetch a repository from the Hub into its cache.

    Args:
        repository: Its name, such as "you/gpt2-msma".
        revision: Branch, tag or commit.

    Returns:
        The folder in the cache.

    Raises:
        StorageError: When it does not exist or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"'{repository}' is neither a folder nor a repository that could be reached ({_first_line(error)}); "
            "check the name and the connection"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
