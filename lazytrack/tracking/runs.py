"""The experiments that a process logs to: it starts them, joins them, goes on with them, and closes dead ones."""

import operator
from typing import Any

from lazytrack import naming
from lazytrack.errors import ReadOnlyError
from lazytrack.journal import Head, Journal
from lazytrack.series import MAX_STEP, MOST
from lazytrack.tracking import search, surrounding
from lazytrack.tracking.catalog import Catalog
from lazytrack.tracking.companions import Companions, Plan
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.record import Record
from lazytrack.tracking.running import ENDS, Running


class Runs(Catalog):
    """What of `Project` is starting and joining experiments."""

    def _open(self, mode: str, head: Head | None) -> None:
        super()._open(mode, head)
        self._capturing: dict[str, Running] = {}
        """Experiments that keep what is printed."""

    def log(
        self,
        name: str,
        *,
        notes: str | None = None,
        parent: Experiment | str | None = None,
        autosave: float | None = None,
        system_metrics: float = False,
        capture: bool = False,
    ) -> Experiment:
        """Start an experiment; ``with project.log("baseline") as exp:`` also notes how the block ends.

        What is logged is written by `save`. A block that raises saves its experiment at once, as failed.

        Parameters
        ----------
        name
            What to call it; many may have the same.
        notes
            What there is to say about it.
        parent
            The experiment it is a part of, such as the sweep of a trial, or its slug; by default that of the
            ``lazytrack run`` around it, if there is one in this project.
        autosave
            Save it at once and then about every so many seconds, at most 300, in a thread; True for 30. A save that
            fails is warned of and tried again, and never raises here; SIGTERM and the end of the process save too.
        system_metrics
            Log what the machine is doing every so many seconds, as metrics ``system/...``; True for 10. Needs
            ``lazytrack[system]``.
        capture
            Keep what is printed meanwhile, as text artifacts ``output``, ``output-2`` and so on; of more than 8 million
            characters those first, and the last million.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        TypeError, ValueError
            When the name or the notes are no text, or seconds are none.
        KeyError
            When there is no such parent here.
        ModuleNotFoundError
            When `system_metrics` needs a library that is not installed.
        """
        self._check_writable("log to it")
        plan = Plan.of(autosave=autosave, system_metrics=system_metrics, capture=capture)
        above = self._surrounding if parent is None else self._parent_slug(parent)
        experiment = Experiment._start(self, name, notes=notes, parent=above)
        return self._accompanied(self._take_in(experiment), plan)

    def attach(
        self,
        slug: str | Experiment,
        *,
        rank: int | None = None,
        autosave: float | None = None,
        system_metrics: float = False,
        capture: bool = False,
    ) -> Experiment:
        """Return a stored experiment to be logged to, in mode ``a`` too, by as many processes as like.

        Each process saves what it logs; of what several log under one name, the newest wins, and histories keep the
        points of all of them, by rank. What this process has not saved of the experiment is saved first.

        How the experiment ends is for the process that started it to say: a block that ends well says nothing, one
        that raises notes the failure.

        Parameters
        ----------
        slug
            The whole slug, a unique beginning of it, or a short slug, which means the newest.
        rank
            Which of several processes that train together this is, counted from 0. Without one it is none of them,
            such as an evaluation: nobody who goes on hides its points, whose rank is -1 in a `History`.
        autosave, system_metrics, capture
            As for `log`.

        Raises
        ------
        KeyError
            When there is none, or none that is saved yet.
        ReadOnlyError
            In mode ``r``.
        TypeError, ValueError
            When the rank is none, or another one than this process has in the experiment.
        """
        self._check_writable("attach to it")
        plan = Plan.of(autosave=autosave, system_metrics=system_metrics, capture=capture)
        rank = None if rank is None else _count(rank, "rank", 0)
        with self._save_lock:
            experiment = self._editable(slug)
            if experiment._is_joined and rank is not None and experiment.rank != rank:
                raise ValueError(
                    f"this project logs to {experiment.slug} as rank {experiment.rank} already: open it once more "
                    f"for rank {rank}"
                )
            if not experiment._is_joined:
                if experiment.dirty:  # in mode w+; from here on this is another writer
                    self._save(only=experiment)
                self.refresh()  # attempts are counted from what is there now
                experiment._is_joined = experiment._is_attached = True
                experiment._write_as(rank)
            return self._accompanied(experiment, plan)

    def resume(
        self,
        slug: str | Experiment,
        step: int | None = None,
        *,
        rank: int = 0,
        ranks: int | None = None,
        autosave: float | None = None,
        system_metrics: float = False,
        capture: bool = False,
    ) -> Experiment:
        """Go on with a stored experiment whose process has ended or died, in mode ``a`` too.

        It is running again. ``exp.last_step`` tells where the history ends. What this process has not saved of the
        experiment is saved first.

        Parameters
        ----------
        slug
            The whole slug, a unique beginning of it, or a short slug, which means the newest.
        step
            The first step that this logs again, such as the one after a checkpoint. What earlier attempts of this
            rank logged at this step or later is no longer part of the histories, even what arrives later.
        rank
            Which of several processes this is, counted from 0; rank 0 says how the experiment ends.
        ranks
            How many there are now. Where there were more before, the same goes for the points of those.
        autosave, system_metrics, capture
            As for `log`.

        Raises
        ------
        KeyError
            When there is none, or none that is saved yet.
        ReadOnlyError
            In mode ``r``.
        SaveError
            When what is not saved of it cannot be saved.
        TypeError, ValueError
            When step, rank or ranks are none.
        """
        self._check_writable("resume an experiment of it")
        plan = Plan.of(autosave=autosave, system_metrics=system_metrics, capture=capture)
        rank = _count(rank, "rank", 0)
        if ranks is not None:
            ranks = _count(ranks, "ranks", rank + 1)
            if step is None:
                raise ValueError(f"ranks={ranks} says whose points do not count from a step on: give that step too")
        if step is not None:
            step = _count(step, "step", -MAX_STEP, MAX_STEP)
        with self._save_lock:
            self.refresh()  # attempts are counted from what is there now
            experiment = self._editable(slug)
            if experiment._companions is not None:
                experiment._companions.finish()
                experiment._companions = None
            if experiment.dirty:
                self._save(only=experiment)
            experiment._is_joined, experiment._is_attached = True, rank > 0
            experiment._write_as(rank, resumed=True, from_step=step, ranks=ranks)
            experiment._go_on()
            return self._accompanied(experiment, plan)

    def close(self, slug: str | Experiment, *, status: str = "stopped", force: bool = False) -> None:
        """Note that an experiment whose process died does not run any more; the next save writes it.

        Parameters
        ----------
        slug
            The whole slug, a unique beginning of it, or a short slug, which means the newest.
        status
            What it ended as: ``stopped``, ``failed`` or ``completed``.
        force
            Close it also where it was heard of a short while ago.

        Raises
        ------
        KeyError
            When there is none.
        ReadOnlyError
            In mode ``r``.
        ValueError
            When it does not run, or is alive, or there is no such status.
        """
        self._check_writable("close an experiment of it")
        with self._save_lock:
            self.refresh()
            experiment = self[slug.slug if isinstance(slug, Experiment) else slug]
            if status not in ENDS:
                raise ValueError(f"an experiment is closed as one of {', '.join(ENDS)}, not as {status!r}")
            if experiment.status != "running":
                raise ValueError(f"{experiment.slug} does not run: its status is {experiment.status!r}")
            if experiment.heartbeat is not None and not experiment.stale and not force:
                raise ValueError(
                    f"{experiment.slug} was heard of at {naming.iso(experiment.heartbeat)} and may be alive: "
                    "wait until it is stale, or close(..., force=True)"
                )
            self._editable(experiment.slug).status = status

    # --- beneath ---

    @property
    def _surrounding(self) -> str | None:
        """The experiment that this process is a part of, where that is one of this project."""
        return surrounding.slug_at(self.location)

    def _take_in(self, experiment: Experiment) -> Experiment:
        """Make an experiment that was just started one of this project."""
        with self._lock:
            self._experiments[experiment.slug] = experiment
        return experiment

    def _check_writable(self, what: str) -> None:
        if self.mode == "r":
            raise ReadOnlyError(f"{self.fpath} was opened with mode='r': open it with 'a', 'w' or 'w+' to {what}")

    def _editable(self, slug: str | Experiment) -> Experiment:
        """Return a stored experiment to be logged to."""
        slug = slug.slug if isinstance(slug, Experiment) else slug
        found = self._find(slug)
        if found is None or found not in self._journal or found in self._inherited:
            self.refresh()
            found = self._find(slug)
        if found is None:
            raise KeyError(
                f"no experiment {slug!r} in {self.fpath} to go on with{search.suggest(slug, self._slugs())}; one that "
                "was just started has to be saved there first"
            )
        experiment = self._experiment(found)
        if experiment._ledger.refusal is None:
            return experiment
        if not self._is_stored(found):
            raise KeyError(f"{found} in {self.fpath} is not saved yet: save it where it was made, to go on with it")
        with self._lock:
            self._experiments[found] = attached = Experiment._load(self, found)
        return attached

    def _is_stored(self, slug: str) -> bool:
        """Tell whether a record is in the store, and not only known here."""
        if slug not in self._inherited:
            return slug in self._journal
        store = Journal(self._journal.files)
        store.refresh()
        return slug in store

    def _capturing_ends(self, experiment: Record) -> None:
        self._capturing.pop(experiment.slug, None)

    def _parent_slug(self, parent: Experiment | str) -> str:
        slug = parent.slug if isinstance(parent, Experiment) else parent
        found = self._find(slug)
        if found is None:
            raise KeyError(
                f"no experiment {slug!r} in {self.fpath} to be a parent{search.suggest(slug, self._slugs())}; one of "
                "another project can be a dependency"
            )
        return found

    def _accompanied(self, experiment: Experiment, plan: Plan) -> Experiment:
        if plan:
            if experiment._companions is not None:
                experiment._companions.finish()
            experiment._companions = Companions(experiment, plan)
            if plan.capture:
                self._capturing[experiment.slug] = experiment
            experiment._companions.start()
        return experiment


def _count(value: Any, what: str, least: int, most: int = MOST) -> int:
    """Return an integer that a user gave, numpy's too."""
    try:
        number = operator.index(value)
        if isinstance(value, bool):
            raise TypeError("a truth value is no number")  # noqa: TRY301
    except TypeError as error:
        raise TypeError(f"{what} is an integer, not {type(value).__name__} {value!r:.50}") from error
    if not least <= number <= most:
        raise ValueError(f"{what} is at least {least} and at most {most}, not {number}")
    return number
