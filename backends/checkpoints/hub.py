"""Fetching models from the hub, or finding them in its cache; safetensors and text only, unless a file is named."""

from __future__ import annotations

import os
import re
from pathlib import Path

from backends.checkpoints.compressed import unpacked
from backends.errors import CheckpointError

HUB = "hf://"
HUB_ID = re.compile(r"^(hf://)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


def is_on_hub(source: str) -> bool:
    """Whether a text says of itself that it is on the hub (`hf://`); a model may also be named `owner/name`."""
    return source.startswith(HUB)


def repository_of(source: str) -> str:
    """`owner/name` of `hf://owner/name/path`."""
    return "/".join(source.removeprefix(HUB).split("/")[:2])


def in_hub_cache(repository: str, revision: str) -> Path | None:
    """The folder of a repository in the hub's own cache, or None; nothing is fetched."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except (OSError, ValueError):
        return None


def references_of(repository: str) -> Path:
    """The folder of the hub's cache whose files say which version of a repository its branches stand for."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model") / "refs"


def version_path(weights: str, *, fetch: bool = True) -> Path:
    """The file or folder of unlearned weights; on the hub (`hf://owner/name/path`) it is fetched, or only looked up.

    Raises:
        CheckpointError: the hub is out of reach or has no such file.
    """
    if not is_on_hub(weights):
        return unpacked(Path(weights))
    owner, _, rest = weights.removeprefix(HUB).partition("/")
    name, _, inside = rest.partition("/")
    wanted = [inside, f"{inside}/*"] if inside else None
    path = from_hub(f"{owner}/{name}", "", wanted, fetch=fetch) / inside
    if not path.exists():
        raise CheckpointError(
            f"the repository {owner}/{name} has no such file or folder",
            where=weights,
            how="Check its spelling on the repository's page, Files and versions",
        )
    return path


def from_hub(repository: str, revision: str, files: list[str] | None = None, *, fetch: bool = True) -> Path:
    """The folder of a repository, or of some of its files; without `fetch`, only what the hub's own cache has.

    Raises:
        CheckpointError: the hub is out of reach or has no such repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=files or HUB_FILES,
                local_files_only=not fetch,
            )
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        offline = " (offline mode is on)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise CheckpointError(
            "there is no such folder here, and the hub has no such repository or cannot be "
            f"reached{offline}: {type(error).__name__}",
            where=repository,
            how="Check the spelling, or download it first and name its folder",
        ) from error
