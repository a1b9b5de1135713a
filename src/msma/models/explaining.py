"""What a library underneath complains about, in one sentence with what to do."""

from msma.errors import ConfigError, ModelError, MsmaError


def first_line(error: BaseException) -> str:
    """Shorten a library's message.

    Args:
        error: What it raised.

    Returns:
        The first line that says something, without its full stop.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def explain(error: Exception, source: str, *, what: str, revision: str | None) -> MsmaError:
    """Turn a library's error into one sentence with what to do.

    Args:
        error: What it raised.
        source: Name or folder that was to be loaded.
        what: "model" or "tokenizer".
        revision: Commit, tag or branch asked for.

    Returns:
        The error to raise.
    """
    kinds: set[str] = set()
    link: BaseException | None = error
    while link is not None:
        kinds.add(type(link).__name__)
        link = link.__cause__ or link.__context__
    at = f" at revision '{revision}'" if revision else ""
    subject = f"could not load the {what} '{source}'{at}"
    if "RevisionNotFoundError" in kinds:
        return ModelError(f"{subject}: there is no such revision; give a commit, tag or branch that exists")
    if "GatedRepoError" in kinds:
        return ModelError(f"{subject}: access has to be granted on its page first; log in and ask for it")
    if "RepositoryNotFoundError" in kinds:
        return ModelError(f"{subject}: the Hub has no such repository, or it is private; check the name")
    if "trust_remote_code" in str(error):
        return ModelError(f"{subject}: it brings its own code; read it, then pass trust_remote_code=True")
    if {"LocalEntryNotFoundError", "OfflineModeIsEnabled"} & kinds or "couldn't connect" in str(error):
        return ModelError(
            f"{subject}: it is not in the local cache and the Hub was not reached; "
            "check the name and the connection, or download it first"
        )
    if "dispatched on the CPU or the disk" in str(error):
        return ConfigError(
            f"{subject}: quantised weights have to fit on the accelerators, and the device_map sends some to "
            "the CPU or the disk; quantise to fewer bits, or offload without quantization"
        )
    return ModelError(f"{subject}: {first_line(error)}; check that the files are whole and of one model")
