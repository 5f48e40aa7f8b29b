"""Where an experiment's results come from: the machine, the environment and the checkout of the process that ran it."""

import logging
import weakref
from typing import TYPE_CHECKING, Any

from lazytrack import codec
from lazytrack.artifacts import TextArtifact
from lazytrack.errors import ArtifactLoadError
from lazytrack.provenance import capture
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.record import Record

if TYPE_CHECKING:
    from lazytrack.provenance.capture import Capture, Origin
    from lazytrack.step_info import EnvironmentMetadata, GitMetadata, PlatformMetadata

DIFF = "uncommitted.diff"
"""The artifact with what was not committed."""
_OF_THE_RUN = ("command", "root", "git", "job", "uncommitted")
ORIGIN = ("platform", "environment", *_OF_THE_RUN)
"""The fields of a record that say where its results come from."""
_log = logging.getLogger(__name__)


class Origins(Record):
    """What of `Experiment` is where its results come from."""

    __slots__ = ("_capture", "_is_told_later", "_origin")

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        super()._set_up(owner, slug, ledger)
        self._capture: Capture | None = None
        """Of this process, as long as the experiment does not say what it has found."""
        self._origin: Origin | None = None
        """What it has found."""
        self._is_told_later = False
        """Whether what it finds is brought here without being asked for."""

    def _begin_capture(self) -> None:
        """Have the record say what this process runs on; that is found out in the background, once for a process."""
        self._capture = capture.begin()

    # --- what the record says ---

    @property
    def platform(self) -> "PlatformMetadata | None":
        """The machine it ran on; None where that is not recorded.

        Raises
        ------
        FormatError
            When the file that says so is gone or damaged.
        """
        from lazytrack.step_info import PlatformMetadata  # noqa: PLC0415  (few ask, and it takes a while to load)

        found = self._shared("platform")
        return None if found is None else codec.converter.structure(found | self._of_the_run("job"), PlatformMetadata)

    @property
    def environment(self) -> "EnvironmentMetadata | None":
        """The interpreter, packages, command and git checkout it ran with; None where that is not recorded.

        Raises
        ------
        FormatError
            When the file that says so is gone or damaged.
        """
        from lazytrack.step_info import EnvironmentMetadata  # noqa: PLC0415

        found = self._shared("environment")
        if found is None:
            return None
        return codec.converter.structure(found | self._of_the_run("command", "root", "git"), EnvironmentMetadata)

    @property
    def git(self) -> "GitMetadata | None":
        """The state of the git checkout it ran from; None outside of any, or where that is not recorded."""
        from lazytrack.step_info import GitMetadata  # noqa: PLC0415

        self._bring_origin()
        found = self._scalars.get("git")
        return codec.converter.structure(found, GitMetadata) if isinstance(found, dict) else None

    @property
    def diff(self) -> str | None:
        """What was not committed when it began, as a patch that ``git apply`` takes; None where nothing is recorded.

        Secrets are left out, and so are large files: ``reproduce`` tells which.

        Raises
        ------
        ArtifactLoadError
            When its file is gone or altered.
        """
        self._bring_origin()
        artifact = self._artifact_map().get(DIFF)
        if artifact is None:
            return None
        loaded = artifact.value if artifact.dirty else self.load_artifact(DIFF)
        if not isinstance(loaded, str):
            raise ArtifactLoadError(f"artifact {DIFF!r} of {self.slug} is no text")
        return loaded

    def _shared(self, kind: str) -> dict[str, Any] | None:
        """Return what many runs share of a platform or an environment."""
        self._bring_origin()
        digest = self._scalars.get(kind)
        return self._owner._shared(kind, digest) if isinstance(digest, str) else None

    def _of_the_run(self, *names: str) -> dict[str, Any]:
        return {name: self._scalars[name] for name in names if name in self._scalars}

    # --- saying it ---

    def _take_changes(self) -> Changes:
        self._bring_origin()
        changes = super()._take_changes()
        if self._origin is not None:
            changes.shared = self._origin.shared
        return changes

    def _bring_origin(self) -> None:
        """Note what the capture of this process has found; the first time, wait for it for a moment."""
        found = self._capture
        if found is None or self._ledger.refusal is not None:
            return
        may_find_more = not found.is_over  # asked first: what is found from here on is told
        if (origin := found.wait()) is None:
            if may_find_more and not self._is_told_later:
                self._is_told_later = True
                found.when_done(_Later(self))
            return
        with self._ledger.lock:
            if self._capture is None:  # another thread was faster
                return
            self._capture, self._origin = None, origin
            for file in origin.shared:
                self._owner._seen_shared.setdefault(file.digest, file.said)
            updated = self._ledger.updated
            for name in _OF_THE_RUN:
                self._scalars.pop(name, None)  # of an earlier attempt
            self._scalars.update(origin.fields)
            if origin.diff is not None:
                self._hold_diff(origin.diff)
            if updated is not None:
                self._ledger.updated = updated  # nothing was changed by a user

    def _hold_diff(self, diff: str) -> None:
        present = self._artifact_map().get(DIFF)
        version = 0 if present is None else present.version + (not present.dirty)
        self._ledger.note(f"artifacts.{DIFF}")
        self._artifact_map()[DIFF] = TextArtifact.construct(name=DIFF, value=diff, fname=DIFF, version=version)


class _Later:
    """Saves what was found of an experiment that was saved before it was."""

    def __init__(self, experiment: Origins) -> None:
        self._experiment = weakref.ref(experiment)

    def __call__(self) -> None:
        experiment = self._experiment()
        if experiment is None:
            return
        with experiment._owner._saving():  # a first save may be under way, which has taken its changes already
            was_saved = experiment.slug in experiment._owner._journal
            experiment._bring_origin()
            if was_saved:
                experiment._owner._save(only=experiment)
