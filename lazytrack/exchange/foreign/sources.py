"""Sources of imports: whether there is anything where one is said to be."""

from pathlib import Path

from lazytrack.files import Files, protocol
from lazytrack.provenance.redact import redact_url


def missing(source: str) -> FileNotFoundError:
    """Return what is raised where there is nothing."""
    return FileNotFoundError(f"there is no {redact_url(source) if '://' in source else source}")


def check_folder(files: Files, what: str) -> None:
    """Refuse a folder that is not there.

    Parameters
    ----------
    what
        It is to be, as a message says it.

    Raises
    ------
    FileNotFoundError
        When there is nothing; storages that know no folders have none without files.
    ValueError
        When it is a file.
    """
    if protocol(files.url) == "file":
        folder = Path(files.url)
        if not folder.exists():
            raise missing(files.url)
        if not folder.is_dir():
            raise ValueError(f"{files.url} is no {what}: it is no folder")
    elif next(iter(files.walk()), None) is None:
        raise missing(files.url)
