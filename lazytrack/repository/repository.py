"""A repository: versions of artifacts, opened for reading or for adding more."""

import os
import pickle
import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf, get_handler, handler_for
from lazytrack.errors import ArtifactError, ArtifactLogError, SaveError, UnsafePathError, VersionNotFoundError, reason
from lazytrack.files import open_files, protocol, split
from lazytrack.journal import head_path
from lazytrack.repository.catalog import listed
from lazytrack.repository.copying import save_copies
from lazytrack.repository.importing import take_over
from lazytrack.repository.saving import save
from lazytrack.repository.upkeep import Upkeep
from lazytrack.repository.versions import Move, Origin, Promotion, check_alias, record_of

if TYPE_CHECKING:
    from lazytrack.exchange.foreign import Draft, Imported
    from lazytrack.exchange.sync import Synced
    from lazytrack.files.cache import Cache

_MODES = {"r": "read only", "w": "start empty: what is stored is deleted at the first save", "w+": "add and edit"}


class Repository(Upkeep):
    """Artifacts in numbered versions, in a folder on any filesystem, that any number of processes may log to at once.

    Parameters
    ----------
    fpath
        Of the repository's head, a path or URL: ``models/repository.json`` owns the folder ``models/repository``. A
        path that does not end in ``.json`` is a folder with a ``repository.json`` in it.
    mode
        ``r`` read only; ``w`` start empty; ``w+`` add and edit.
    author
        Who logs; by default the login user.
    cache
        As for `Project`.
    storage_options
        What fsspec's filesystem takes.

    Raises
    ------
    ValueError
        When the mode is unknown, the path names nothing, or nothing here speaks the URL's protocol.
    FormatError
        When the file is no lazytrack repository, or of a newer lazytrack.
    OSError
        When it is there and cannot be read.
    """

    def __init__(
        self,
        fpath: str | os.PathLike[str] = "repository.json",
        mode: str = "w+",
        author: str | None = None,
        *,
        cache: "Cache | str | os.PathLike[str] | bool" = False,
        **storage_options: Any,
    ) -> None:
        if mode not in list(_MODES):
            known = "; ".join(f"{mode!r} {meaning}" for mode, meaning in _MODES.items())
            raise ValueError(f"no mode {mode!r}; known: {known}")
        super().__init__(fpath, author, cache, storage_options)
        self.mode = mode
        self._begin()
        _repositories.add(self)
        if self._head is None and mode == "r":
            warnings.warn(f"there is no repository at {self.fpath}: reading an empty one", UserWarning, stacklevel=2)
        if mode == "w":
            self._read_once()
            self._doomed |= {record for record in self._journal.created() if not record.startswith(".")}
            self._hidden |= {name: set(versions) for name, versions in self._stored.items()}

    def _inherit(self) -> None:
        """Begin anew in a forked child: what is not saved is its parent's to save."""
        self._lock = threading.RLock()
        self._journal.reset_lock()
        self._begin()

    # --- logging ---

    def log_artifact(
        self,
        name: str,
        value: Any,
        handler: str | None = None,
        fname: str | None = None,
        expiry: datetime | timedelta | str | None = None,
        **kwargs: Any,
    ) -> int:
        """Associate an object with the next version of a name; the next save writes it.

        Parameters
        ----------
        handler, fname, expiry, kwargs
            As for ``log_artifact`` of an experiment.

        Returns
        -------
        int
            The number of the version. If another process takes it first, the save moves it to the next that is free.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When there is no such handler, or `expiry` cannot be read.
        TypeError
            When the handler cannot keep the object, where that can be told before it is written.
        UnsafePathError
            When `fname` points outside the store.
        """
        self._check_writable("log to it")
        codec.text(name, "the name of an artifact")
        if not name:
            raise ValueError("the name of an artifact is empty")
        handler_class = get_handler(handler_for(value) if handler is None else handler)
        if fname is not None:
            naming.safe_path(codec.text(fname, f"fname of artifact {name!r}"))
        expires = None if expiry is None else codec.expiry(expiry, f"expiry of artifact {name!r}")
        handler_class.check_value(value, **kwargs)
        with self._lock:
            number = self._next(name)
            artifact = handler_class.construct(
                name=name, value=value, fname=fname, expiry=expires, writer_kwargs=kwargs, version=number
            )
            self._new.setdefault(name, {})[number] = artifact
        return number

    def promote(self, artifact: Artifact, source: Shelf, *, project: str, record: str, field: str) -> int:
        """Take over an artifact of an experiment as the next version of its name; see `Experiment.promote_artifact`.

        Parameters
        ----------
        artifact
            As the experiment has it.
        source
            Where its file is, if it is saved.
        project
            What the experiment's project is registered as, or the whole path or URL of its head.
        record, field
            Where that names the artifact.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ArtifactLogError
            When it is not newer than the newest version here.
        SaveError
            When it was saved there, and cannot be written here.
        """
        self._check_writable("promote to it")
        with self._lock:
            name = artifact.name
            newest = max((a.created_at for a in (self._versions(name).values() if name in self else ())), default=None)
            if newest is not None and artifact.created_at <= newest:
                raise ArtifactLogError(
                    f"artifact {name!r} of {naming.iso(artifact.created_at)} is not newer than the newest version in "
                    f"{self.fpath}, of {naming.iso(newest)}"
                )
            origin = Origin(project=project, record=record, field=field).seen_from(self.dir)
            if artifact.dirty:
                return self._take_over(artifact, Promotion(origin, None)).version
            with source.at_hand() as there:
                return self._copy_over(artifact, Promotion(origin, there)).version

    def sync(self, target: str | os.PathLike[str], *, verify: bool = False, **storage_options: Any) -> "Synced":
        """Copy what is missing at another place, where a copy of this repository is, or is begun; see `Project.sync`.

        Raises
        ------
        FileNotFoundError
            When this repository is not stored.
        FileExistsError
            When another repository is there, or a copy in which other versions were made.
        FormatError
            When there is something else at that place.
        OSError
            When this cannot be read, or the copy not be written.
        """
        from lazytrack.exchange.sync import Side, sync  # noqa: PLC0415  (few copy repositories)

        folder, name = split(head_path(target, kind="repository"))
        options = storage_options or (self.storage_options if protocol(folder) == protocol(self.dir) else {})
        there = Side(files=open_files(folder, **options), head=name)
        here = Side(files=self._files, head=self._head_name)
        return sync(self._as_store(), here, there, kind="repository", verify=verify)

    def take_over(self, drafts: "Iterable[Draft]", report: "Imported") -> None:
        """Take over versions of artifacts that another tracker has kept; see `Project.import_from`.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        SaveError
            When something cannot be written.
        """
        if not report.dry_run:
            self._check_writable("import into it")
        with self._lock:
            take_over(self, drafts, report)

    def _take_over(self, artifact: Artifact, promotion: Promotion) -> Artifact:
        """Make an artifact of an experiment the next version of its name, which is not saved yet."""
        mine = attrs.evolve(artifact, version=self._next(artifact.name), dirty=True)
        mine.stored = artifact.stored
        self._new.setdefault(mine.name, {})[mine.version] = mine
        self._promotions[id(mine)] = promotion
        return mine

    def _copy_over(self, artifact: Artifact, promotion: Promotion) -> Artifact:
        """Make a saved artifact the next version; one that is not what was saved there leaves nothing here."""
        try:
            if promotion.source is not None:
                self._shelf.check(artifact, promotion.source)  # before a number is claimed, which is for ever
        except (OSError, ArtifactError, UnsafePathError) as error:
            raise SaveError(
                f"{self.fpath}: artifact {artifact.name!r} was not promoted, and nothing was written: {reason(error)}"
            ) from error
        mine = self._take_over(artifact, promotion)
        try:
            save(self, only=mine)
        except BaseException:
            self._new[mine.name].pop(mine.version, None)
            self._promotions.pop(id(mine), None)
            raise
        return mine

    def _next(self, name: str) -> int:
        self._read_once()
        return max(self._last.get(naming.safe_part(name), -1), *self._new.get(name, ()), -1) + 1

    # --- expiry and aliases ---

    def set_artifact_expiry(
        self,
        name: str,
        version: int | datetime | str | None = None,
        match: str = "exact",
        expiry: datetime | timedelta | str | None = None,
    ) -> None:
        """Say from when on a version should not be used; the next save writes it.

        Parameters
        ----------
        version, match
            As for `load_artifact`.
        expiry
            A time, or how long from now; by default now.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When `expiry` cannot be read.
        ArtifactLoadError
            When the version is to be used again, and its file is gone.
        """
        self._check_writable("change it")
        expires = naming.now() if expiry is None else codec.expiry(expiry, f"expiry of artifact {name!r}")
        with self._lock:
            artifact = self._version(name, version, match)
            if expires > naming.now():
                self._check_file(artifact)
            artifact.expiry = expires
            if not artifact.dirty:
                self._notes.setdefault(record_of(name, artifact.version), {})["expiry"] = naming.iso(expires)

    def set_alias(
        self, name: str, alias: str, version: int | datetime | str | None = None, *, reason: str | None = None
    ) -> None:
        """Have an alias, such as ``champion``, mean a version from the next save on; its history keeps every move.

        Parameters
        ----------
        version
            As for `load_artifact`.
        reason
            Why, for the history.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When the alias could be taken for a number or a time, or there is no such artifact.
        ArtifactLoadError
            When the file of the version is gone.
        """
        self._check_writable("change it")
        check_alias(alias)
        if reason is not None:
            codec.text(reason, "reason")
        with self._lock:
            artifact = self._version(name, version, "exact")
            self._check_file(artifact)
            self._moves.append(Move(name, alias, artifact, reason))

    def delete_alias(self, name: str, alias: str, *, reason: str | None = None) -> None:
        """Have an alias mean nothing from the next save on.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When there is no such alias.
        """
        self._check_writable("change it")
        with self._lock:
            if alias not in self.aliases(name):
                raise ValueError(f"artifact {name!r} has no alias {alias!r}; known: {listed(self.aliases(name))}")
            self._moves.append(Move(name, alias, None, reason))

    # --- deleting and saving ---

    def delete(self, name: str, version: int) -> None:
        """Delete a version at the next save, for good: its number is never used again.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        ValueError
            When there is no such artifact, or an alias or a release means the version.
        VersionNotFoundError
            When there is no such version.
        """
        self._check_writable("change it")
        with self._lock:
            artifact = self._version(name, version, "exact")
            if meant := [alias for alias, number in self.aliases(name).items() if number == artifact.version]:
                raise ValueError(f"version {artifact.version} of artifact {name!r} is what {listed(meant)} means")
            if (tag := self._released_as(record_of(name, artifact.version))) is not None:
                raise ValueError(f"version {artifact.version} of artifact {name!r} is in release {tag!r}")
            if artifact.dirty:
                del self._new[name][artifact.version]
                self._promotions.pop(id(artifact), None)
            else:
                self._doomed.add(record_of(name, artifact.version))

    def save(self) -> None:
        """Write everything that changed since the last save: each new version is claimed, then its file written.

        When this returns, what was changed before the call survives a crash and any other writer.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        SaveError
            When something could not be written. What is named stays to be saved; everything else was written.
        """
        self._check_writable("save it")
        with self._lock:
            save(self)

    # --- parts of it ---

    def check_settled(self, what: str) -> None:
        """Refuse what needs a repository that does not change: one that is not open for reading only.

        Raises
        ------
        RuntimeError
            Which says so.
        """
        if self.mode != "r":
            raise RuntimeError(f"only a repository that is open with mode='r' can {what}: {self.fpath} is not")

    def filter(self, version: datetime | str | Iterable[tuple[str, int]]) -> "Repository":
        """Return a part of the repository, for reading only.

        Parameters
        ----------
        version
            A time: of each artifact the version as of then; one that had none is left out, with a warning. Or pairs of
            an artifact's name and the number of its version.

        Raises
        ------
        RuntimeError
            When this is not open for reading only.
        VersionNotFoundError
            When there is no such version.
        ValueError
            When there is no such artifact.
        """
        self.check_settled("be filtered")
        chosen: dict[str, set[int]] = {}
        if isinstance(version, str | datetime):
            for name in self._all_names():
                try:
                    chosen[name] = {self._version(name, version, "asof").version}
                except VersionNotFoundError as error:
                    warnings.warn(f"{error}: it is left out", UserWarning, stacklevel=2)
        else:
            for name, number in version:
                chosen.setdefault(name, set()).add(self._version(name, number, "exact").version)
        part = pickle.loads(pickle.dumps(self))
        part._read_once()
        part._hidden = {name: set(part._stored[name]) - chosen.get(name, set()) for name in part._stored}
        return part  # type: ignore[no-any-return]

    def copy(
        self, location: str | os.PathLike[str], versions: Iterable[tuple[str, int]], **storage_options: Any
    ) -> "Repository":
        """Copy versions, with their numbers and aliases, to a new repository, and return it for reading only.

        Files are copied without being loaded, their bytes checked.

        Parameters
        ----------
        location
            The path or URL of the new repository.
        versions
            Pairs of an artifact's name and the number of its version.
        storage_options
            What the filesystem at `location` takes.

        Raises
        ------
        FileExistsError
            When there is a repository at `location`.
        VersionNotFoundError, ValueError
            When there is no such version, or artifact.
        SaveError
            When something could not be copied; then the new repository is empty.
        """
        copied = [self._version(name, number, "exact") for name, number in versions]
        target = Repository(location, "w+", self.author, **storage_options)
        if target._head is not None:
            raise FileExistsError(f"there is a repository at {target.fpath} already")
        save_copies(target, copied, self)
        return Repository(location, "r", self.author, **storage_options)

    def __repr__(self) -> str:
        return f"Repository({self.fpath!r}, mode={self.mode!r})"

    # --- elsewhere ---

    def __getstate__(self) -> dict[str, Any]:
        """Return where this is. What is not saved stays here, and what is stored is read anew there."""
        options = {"cache": self._cache, **self.storage_options}
        return {"fpath": f"{self.dir}/{self._head_name}", "mode": self.mode, "author": self.author, "options": options}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        mode = "w+" if state["mode"] == "w" else state["mode"]  # whoever started empty does that itself
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            self.__init__(state["fpath"], mode, state["author"], **state["options"])  # type: ignore[misc]


_repositories: "weakref.WeakSet[Repository]" = weakref.WeakSet()


def _inherit_all() -> None:
    for repository in list(_repositories):
        repository._inherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit_all)
