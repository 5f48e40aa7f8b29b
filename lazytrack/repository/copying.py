"""Copies of versions in a repository of their own, with the numbers they have."""

import functools
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack.artifacts import Artifact
from lazytrack.errors import ArtifactError, ArtifactLoadError, SaveError, reason
from lazytrack.files import Sending, threads_for
from lazytrack.journal import write_head
from lazytrack.progress import Progress
from lazytrack.repository.versions import ALIAS, PROMOTED, Origin, aliases_of, claim_content, claim_of, record_of

if TYPE_CHECKING:
    from lazytrack.repository.repository import Repository


def save_copies(target: "Repository", versions: list[Artifact], source: "Repository") -> None:
    """Write versions of another repository to a new one, as they are there, numbers and aliases included.

    Raises
    ------
    SaveError
        When something could not be copied; then nothing is named there.
    """
    try:
        target._head = write_head(target._files, target._head_name, kind="repository")
        with (
            Progress(f"copying to {target.fpath}", files=len(versions)) as progress,
            Sending(threads_for(target._files, source._files), progress) as sending,
        ):
            copies = []
            for artifact in versions:
                if artifact.stored is None:
                    raise ArtifactLoadError(f"artifact {artifact.name!r} is not saved yet")
                # Nobody else is here yet.
                target._inside.create(claim_of(artifact.name, artifact.version), claim_content())
                copy = functools.partial(target._shelf.copy, artifact.stored, source._shelf, told=progress.add_bytes)
                copies.append(sending.submit(copy, size=artifact.stored.size))
            for copy_made in copies:
                copy_made.result()
                progress.add_file()
        records = sorted({record_of(artifact.name, artifact.version) for artifact in versions})
        patches = [{"record": record, "set": _fields(target, record, source)} for record in records]
        numbers = {(artifact.name, artifact.version) for artifact in versions}
        for name in sorted({artifact.name for artifact in versions}):
            aliases = {ALIAS + alias: n for alias, n in source.aliases(name).items() if (name, n) in numbers}
            if aliases:
                patches.append({"record": aliases_of(name), "set": {"name": name, **aliases}})
        if patches:
            target._journal.append(patches, by=target.author)
    except (OSError, ArtifactError) as error:
        raise SaveError(f"{target.fpath}: nothing was copied: {reason(error)}") from error


def _fields(target: "Repository", record: str, source: "Repository") -> dict[str, Any]:
    """Return the fields of a version; what it was promoted from is seen from another place now."""
    fields = dict(source._journal.fields(record))
    if (origin := Origin.of(fields.get(PROMOTED))) is not None:
        fields[PROMOTED] = attrs.asdict(origin.whole(source.dir).seen_from(target.dir))
    return fields
