"""Where a probe file is: a path, or a file of a data set on the hub (`hf://owner/name/file.json`)."""

from __future__ import annotations

from pathlib import Path

from backends.errors import StudyError

HUB = "hf://"


def is_on_hub(source: str) -> bool:
    """The source is a file of a data set on the hub."""
    return source.startswith(HUB)


def probe_file(source: str) -> Path:
    """The file on this machine, fetched from the hub's cache or the hub itself where that is meant.

    Raises:
        StudyError: the hub has no such file, or cannot be reached.
    """
    if not is_on_hub(source):
        return Path(source)
    owner, _, rest = source.removeprefix(HUB).removeprefix("datasets/").partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file):
        raise StudyError(
            f"{source!r} does not name a file of a data set", how=f"Write it as {HUB}owner/name/file.json"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(f"{owner}/{name}", file, repo_type="dataset"))
    except LocalEntryNotFoundError as error:
        raise StudyError(
            "this file is not in the hub's cache, and the hub cannot be reached",
            where=source,
            how="Download it once while online, or name a local file",
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise StudyError(f"the hub does not provide this file ({first})", where=source) from error
