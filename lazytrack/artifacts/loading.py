"""Loading: what is made sure of, and what is said, before an artifact's file is read."""

import warnings
from collections.abc import Mapping
from typing import Any

from lazytrack import naming
from lazytrack.artifacts.base import Artifact
from lazytrack.artifacts.entries import check_environment
from lazytrack.artifacts.shelf import Shelf
from lazytrack.artifacts.trust import check_trust
from lazytrack.errors import ArtifactLoadError


def load(artifact: Artifact, shelf: Shelf, kwargs: Mapping[str, Any], *, what: str, validate: bool, trust: bool) -> Any:
    """Return the object in the file of a saved artifact; warnings point to who called the caller.

    Parameters
    ----------
    kwargs
        For the handler's reader.
    what
        Is loaded, as a warning names it.
    validate, trust
        As for ``load_artifact``.

    Raises
    ------
    ArtifactLoadError
        When its file is gone or altered, or the environment differs.
    UntrustedArtifactError
        When reading it could run code, and it is not signed by a key that is held here.
    """
    if not trust:
        check_trust(artifact)
    warn_output_only(artifact, "may not come back as the object it was", stacklevel=4)
    if artifact.expiry is not None and artifact.expiry <= naming.now():
        warnings.warn(
            f"{what} expired at {naming.iso(artifact.expiry)}: it should not be used any more",
            UserWarning,
            stacklevel=3,
        )
    if validate:
        check_environment(artifact)
    try:
        return shelf.read(artifact, **kwargs)
    except ArtifactLoadError as error:
        if artifact.expiry is None or not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise ArtifactLoadError(
            f"{error}; it expires {naming.iso(artifact.expiry)}, and gc collects what has expired"
        ) from error


def warn_output_only(artifact: Artifact, consequence: str, *, stacklevel: int) -> None:
    """Warn of a handler that only writes, and of what follows from that."""
    if artifact.output_only:
        warnings.warn(
            f"artifact {artifact.name!r} is kept by the handler {artifact.alias!r}, which only writes: "
            f"it {consequence}",
            UserWarning,
            stacklevel=stacklevel,
        )
