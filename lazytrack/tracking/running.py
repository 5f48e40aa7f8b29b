"""The life of an experiment: it runs, is heard of, is told to stop, ends, and goes on."""

import logging
import sys
from datetime import datetime
from types import TracebackType
from typing import Self

from lazytrack import codec
from lazytrack.tracking.autosave import what_ended_the_process
from lazytrack.tracking.blocks import Blocks, is_failure, told
from lazytrack.tracking.companions import Companions
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.owner import Owner

ENDS = ("completed", "failed", "stopped")
"""What an experiment that does not run any more may say."""
_STATUSES = ("running", *ENDS)
_log = logging.getLogger(__name__)


class Running(Blocks):
    """What of `Experiment` is running and ending."""

    __slots__ = ("_companions", "_is_attached", "_is_joined", "_said")

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        super()._set_up(owner, slug, ledger)
        self._companions: Companions | None = None
        self._is_attached = False
        """Whether it is another process that says how the experiment ends."""
        self._is_joined = False
        """Whether this process has started, joined or resumed it, rather than only opened it for editing."""
        self._said: str | None = None
        """What this process has said of its status."""

    @property
    def status(self) -> str:
        """How it stands: ``running``, ``completed``, ``failed`` or ``stopped``."""
        return str(self._scalars.get("status", "completed"))

    @status.setter
    def status(self, value: str) -> None:
        if value not in _STATUSES:
            raise ValueError(f"no status {value!r}; known: {', '.join(_STATUSES)}")
        self._scalars["status"] = value
        self._said = value

    # --- the block ---

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ledger.refusal is not None:  # nothing was logged here
            return
        self._end(error)
        if self._companions is not None:
            self._companions.finish()
        elif error is not None:
            try:
                self._owner._save(only=self)
            except Exception as failure:  # noqa: BLE001  (whatever it is, the user's own exception goes on)
                error.add_note(f"lazytrack could not save experiment {self.slug!r} at once: {failure}")

    def finish(self, status: str = "completed", *, error: str | None = None, exit_code: int | None = None) -> None:
        """End an experiment that no block ends: note how, and save it; autosave and what goes along with it end too.

        Parameters
        ----------
        status
            ``completed``, ``failed`` or ``stopped``.
        error
            What it ended with, if that was one.
        exit_code
            Of the command that it was.

        Raises
        ------
        ValueError
            When there is no such status.
        SaveError
            When it does not save itself, and cannot be saved.
        """
        self.status = status
        if error is not None:
            self._scalars["error"] = codec.text(error, "error")
        if exit_code is not None:
            self._scalars["exit_code"] = exit_code
        if self._companions is not None:
            self._companions.finish()
        else:
            self._owner._save(only=self)

    def _end(self, error: BaseException | None) -> None:
        """Note how it ended, unless that was said already, or is for another process to say."""
        if self._said == "stopped" or self._is_superseded():
            return
        if error is not None and is_failure(error):
            self.status = "failed"
            self._scalars["error"] = told(error)
        elif self._said is None and not self._is_attached and (self._is_joined or self.status == "running"):
            self.status = "completed"
            self._scalars.pop("error", None)

    def _is_superseded(self) -> bool:
        """Tell whether another process has gone on with it: it says how this ends."""
        if (own := self._own_writer) is None or self.slug not in self._owner._journal:
            return False
        try:
            self._owner._look_again()
        except OSError as error:
            _log.debug("%s: nothing is known of later attempts: %s", self.slug, error)
        roles = self._writers().roles.items()
        rivals = [(role.attempt, writer) for writer, role in roles if role.resumed and role.rank == own.role.rank]
        return own.role.rank is not None and max(rivals, default=(0, "")) > (own.role.attempt, own.id)

    # --- running, and being heard of ---

    @property
    def heartbeat(self) -> datetime | None:
        """When it was heard of last, if it saves itself; aware, in UTC.

        Of several processes that log to it, the lowest rank counts, since it was last resumed; `writers` tells of all.
        """
        return max((info.heartbeat for info in self._writers().leading() if info.heartbeat is not None), default=None)

    @property
    def stale(self) -> bool:
        """Whether it says that it is running, and has not been heard of for 15 minutes: its process is gone.

        One that does not save itself (``autosave``) is never stale.
        """
        saving = [info for info in self._writers().leading() if info.heartbeat is not None]
        return self.status == "running" and bool(saving) and all(info.silent for info in saving)

    def _stop(self) -> None:
        """Note that the process was told to end."""
        if self._said is None and not self._is_attached:
            self.status = "stopped"

    def _go_on(self) -> None:
        """Run again, from where this process goes on; what was logged later does not count."""
        with self._ledger.lock:
            self._note_writer()
            if not self._is_attached:
                self._begin_capture()
                self._scalars["status"], self._said = "running", None
                self._scalars.pop("error", None)
            self._restore_metrics()

    def _end_with_process(self) -> None:
        """Note how it ended where no block did: by what has ended the program, unless somebody sits before it."""
        if self._said is None:
            self._end(None if hasattr(sys, "ps1") else what_ended_the_process())

    def _gather(self) -> None:
        """Take in what was printed, to be saved."""
        if self._companions is not None and self._companions.capture is not None:
            self._companions.capture.pull()
