"""A project's data in and out: as one file, and from what other trackers have written."""

import functools
import itertools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

from lazytrack.files import join, open_files, relative, split
from lazytrack.journal import Patch, head_path, writable
from lazytrack.tracking.copies import adopt_patches
from lazytrack.tracking.dependencies import FIELD
from lazytrack.tracking.logged import artifact_file, files_of
from lazytrack.tracking.registry import registry
from lazytrack.tracking.upkeep import Upkeep

if TYPE_CHECKING:
    import duckdb

    from lazytrack.exchange.exporting import Export
    from lazytrack.exchange.foreign import Draft, Imported
    from lazytrack.exchange.sql import Database
    from lazytrack.exchange.sync import Synced
    from lazytrack.journal import Head
    from lazytrack.tracking.project import Project

_TOGETHER = 100
"""So many experiments are imported by one save."""


class TakingOver(Protocol):
    """What `Repository` is to a project that imports."""

    def take_over(self, drafts: "Iterable[Draft]", report: "Imported") -> None:
        """Take over versions of artifacts that another tracker has kept."""


class Exchanged(Upkeep):
    """What of `Project` goes in and out."""

    def _open(self, mode: str, head: "Head | None") -> None:
        super()._open(mode, head)
        self._database: Database | None = None
        """What answers SQL, once it was asked."""

    def export(
        self,
        fpath: str | os.PathLike[str],
        *,
        slugs: Iterable[str] | None = None,
        artifacts: bool | None = None,
        overwrite: bool = False,
    ) -> "Export":
        """Write what is saved as one file, which ``Project(fpath, mode="r")`` opens anywhere, over HTTP too.

        A JSON document holds records and histories, and is for reading by anyone. A zip archive is a project as it is
        on disk: unpacked, it can be logged to.

        Parameters
        ----------
        fpath
            A path or URL that ends in ``.json`` or ``.zip``.
        slugs
            Of the experiments to export, as for ``project[slug]``; all by default.
        artifacts
            Whether artifacts are in it; by default in an archive they are, and in a document they are not.
        overwrite
            Whether it takes the place of an earlier export.

        Raises
        ------
        KeyError
            When there is no such experiment.
        ValueError
            When the path ends in something else, or is within this project's folder.
        FileExistsError
            When there is a file of that name, and it is not to be overwritten, or is no export.
        OSError
            When the project cannot be read, or the file not be written.
        """
        from lazytrack.exchange import exporting  # noqa: PLC0415  (few export)

        path = os.fspath(fpath)
        folder, name = split(path)
        files = open_files(folder, **self.options_for(path, cache=False))
        if f"{files.url}/".startswith(f"{self._journal.files.url}/"):
            raise ValueError(f"{path} is within {self._journal.files.url}, which holds what the project has written")
        exporting.check_target(files, name, overwrite=overwrite)
        self.refresh()
        wanted = self._slugs() if slugs is None else dict.fromkeys(self[slug].slug for slug in slugs)
        records = [record for record in wanted if record in self._journal]
        with_artifacts = name.endswith(".zip") if artifacts is None else artifacts
        seen_from, own = (f"{folder}/{name}", "project.json") if name.endswith(".zip") else (folder, name)
        place = functools.partial(self._exported, seen_from=seen_from, own=own, records={*records})
        patches = [place(writable(patch)) for record in records for patch in self._journal.patches(record)]
        if slugs is None:
            at = self._journal.clock.tick()
            gone = sorted(record for record in self._journal.deleted if not record.startswith("."))
            patches += [{"at": at, "by": self.author, "record": record, "delete": True} for record in gone]
        named = [
            file
            for record in records
            for field, value in self._journal.fields(record).items()
            if with_artifacts or artifact_file(field, value, record) is None
            for file in files_of(field, value, record)
        ]
        count, size, left_out = exporting.write(
            files, name, patches=patches, named=named, shelf=self._shelf, source=self._journal.files
        )
        return exporting.Export(fpath=path, experiments=len(records), files=count, size=size, left_out=left_out)

    def sync(self, target: str | os.PathLike[str], *, verify: bool = False, **storage_options: Any) -> "Synced":
        """Copy what is missing at another place, where a copy of this project is, or is begun.

        Each file appears whole or not at all, and nothing is named before it is there. So this may be interrupted and
        repeated, others may log meanwhile, and the copy can be read at any moment.

        Parameters
        ----------
        target
            The path or URL of the copy.
        verify
            Read the artifacts that are there already, too, and compare their digests.
        storage_options
            For the filesystem of the copy.

        Raises
        ------
        FileNotFoundError
            When this project is not stored.
        ValueError
            When this is an export, or that place within this project.
        FileExistsError
            When another project is there.
        FormatError
            When there is something else at that place.
        OSError
            When this cannot be read, or the copy not be written.
        """
        from lazytrack.exchange.sync import Side, sync  # noqa: PLC0415  (few copy projects)

        folder, name = split(head_path(target, kind="project"))
        there = Side(files=open_files(folder, **(storage_options or self.options_for(folder, cache=False))), head=name)
        here = Side(files=self._files, head=self._head_name)
        return sync(self._as_store(), here, there, kind="project", verify=verify)

    def sql(self, query: str) -> "duckdb.DuckDBPyRelation":
        """Return what an SQL query finds; ``.df()``, ``.pl()`` and ``.fetchall()`` give it, and it shows itself.

        ``project.sql("select slug, metrics.auc from experiments where metrics.auc > 0.9 order by metrics.auc desc")``

        It is DuckDB's SQL. The tables hold what `table` holds, as it was read last, and are made when a query names
        them: ``experiments`` (with ``parameters``, ``metrics`` and ``tags`` in it), ``parameters``, ``metrics``,
        ``tags``, ``artifacts``, ``steps``, and ``history``, for which all files of points are read.

        Raises
        ------
        ValueError
            When it is no query, or asks for what is not there.
        ModuleNotFoundError
            When DuckDB is not installed: ``pip install 'lazytrack[duckdb]'``.
        """
        from lazytrack.exchange.sql import Database  # noqa: PLC0415  (few ask so)
        from lazytrack.tracking.relations import Relations  # noqa: PLC0415

        self._read_once()
        with self._lock:
            if self._database is None:
                self._database = Database(Relations(self))
        unsaved = any(experiment._ledger.changed for experiment in list(self._experiments.values()))
        return self._database.query(query, object() if unsaved else (self._journal.version, frozenset(self._hidden)))

    def _exported(self, patch: Patch, *, seen_from: str, own: str, records: set[str]) -> Patch:
        """Return a patch with its dependencies as they are seen from an export; those on what is in it, within it."""
        there = {}
        for field, value in patch.get("set", {}).items():
            place, _, slug = str(value).rpartition("|")
            if not field.startswith(FIELD) or not (place.endswith(".json") or place in registry):
                continue
            location = registry[place].location if place in registry else join(self.dir, place)
            if location == self.location and slug in records:
                there[field] = f"{own}|{slug}"
            elif place not in registry:
                there[field] = f"{relative(location, seen_from)}|{slug}"
        return patch | {"set": patch["set"] | there} if there else patch

    def import_from(
        self,
        kind: str,
        source: str | os.PathLike[str],
        *,
        repository: TakingOver | None = None,
        follow: bool = False,
        dry_run: bool = False,
        **storage_options: Any,
    ) -> "Imported":
        """Take over what another tracker has kept; nothing of it is run, and nothing there is changed.

        What is imported is saved when this returns, with whatever else is not saved. Importing again brings what is
        new or has changed there, and leaves alone what was changed or deleted here. ``experiment.imported`` says where
        an experiment comes from.

        Parameters
        ----------
        kind
            ``mlflow``: a folder ``mlruns``, or a sqlite database. ``lazyscribe``: the JSON file of a project or a
            repository. ``tango``: the folder of a workspace.
        source
            Its path or URL.
        repository
            Where registered models and versions of artifacts go to.
        follow
            Also fetch artifacts from outside of the source, where it says that they are there.
        dry_run
            Only tell what would come, and what has no place here.
        storage_options
            For the filesystem of the source.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When the kind is not known, or the source is none of that kind.
        FileNotFoundError
            When there is nothing.
        SaveError
            When something cannot be written; importing again goes on from there.
        """
        from lazytrack.exchange import foreign  # noqa: PLC0415  (few import)

        if not dry_run:
            self._check_writable("import into it")
        self.refresh()
        path = os.fspath(source)
        how = {
            "home": self._head_name,
            "is_here": lambda record: record in self._journal,
            "records": lambda: {*self._journal.created(), *self._journal.deleted},
        }
        importing = foreign.begin(kind, path, **how, follow=follow, dry=dry_run, options=storage_options)
        report = foreign.Imported(kind=kind, source=path, dry_run=dry_run)
        drafts = importing.drafts()
        while batch := list(itertools.islice(drafts, _TOGETHER)):
            news = [draft for draft in batch if self._is_news(draft, report)]
            if news and not dry_run:
                self._bring(news)
        versions = importing.versions()
        if repository is not None:
            repository.take_over(versions, report)
        elif count := sum(draft.record.rpartition("/")[2].isdecimal() for draft in versions):
            report.left_out["versions of artifacts: name a repository for them"] = [f"{count} of them"]
        report.left_out.update(importing.left_out)
        return report

    def _is_news(self, draft: "Draft", report: "Imported") -> bool:
        """Tell whether a record of another tracker is not here, or was another one when it was imported."""
        if self._journal.is_deleted(draft.record):
            report.deleted += 1
            return False
        known = self._journal.get(draft.record, "imported")
        if isinstance(known, dict) and known.get("digest") == draft.digest:
            report.unchanged += 1
            return False
        report.add(draft, is_new=known is None)
        report.leave_out(draft)
        return True

    def _bring(self, drafts: "list[Draft]") -> None:
        """Save records of another tracker."""
        place = self._holding({path: content for draft in drafts for path, content in draft.held.items()})
        for draft in drafts:
            place._journal.absorb(draft.patches(self._journal.times(draft.record)))
        adopt_patches(cast("Project", self), place, [draft.record for draft in drafts])
        self._save()
