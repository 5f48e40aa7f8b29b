"""What experiments and tests have in common: parameters, metrics and artifacts, and the fields they are stored as."""

import enum
import logging
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf, StoredFile, from_entry, get_handler, handler_for
from lazytrack.artifacts.base import UNKNOWN
from lazytrack.artifacts.entries import stored_in, to_dict
from lazytrack.artifacts.loading import load, warn_output_only
from lazytrack.errors import ArtifactLoadError, ArtifactLogError, StoreWarning
from lazytrack.provenance import kept
from lazytrack.series import FOLDER, SERIES, Stock
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.owned import Section, Shown
from lazytrack.tracking.registry import registry

if TYPE_CHECKING:
    from lazytrack.tracking.record import Record


_log = logging.getLogger(__name__)


class Missing(enum.Enum):
    """The one value that no field has."""

    MISSING = enum.auto()


MISSING = Missing.MISSING
"""Stands for the value of a field that is not there any more."""

STEPS = "steps."
"""What the fields begin with that say how a step went."""
_IS_ARTIFACT = re.compile(r"(?:tests\.[^.]+\.)?artifacts\.")
SECTIONS: dict[str, tuple[Callable[[Any, str], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "": (codec.plain, codec.store, codec.unstore),
    "parameters.": (codec.plain, codec.store, codec.unstore),
    "metrics.": (codec.number, codec.store_number, codec.unstore_number),
}
"""Of each section, by what its fields begin with: logged to plain, plain to stored, stored to plain."""


class Promoting(Protocol):
    """What `Repository` is to an experiment."""

    def promote(self, artifact: Artifact, source: Shelf, *, project: str, record: str, field: str) -> int:
        """Take over an artifact whose file is at `source`, and that a project names in a field of a record."""


class Logged:
    """A part of a record that things are logged to.

    Its sections are built from the stored fields when they are first touched: most experiments of a large project
    are only ever asked for one number.
    """

    __slots__ = ("_artifacts", "_ledger", "_prefix", "_sections")

    def __init__(self, ledger: Ledger, prefix: str = "") -> None:
        self._ledger = ledger
        self._prefix = prefix
        self._sections: dict[str, Section] = {}
        self._artifacts: dict[str, Artifact] | None = None

    # --- where it stands; subclasses know ---

    @property
    def _whole(self) -> "Record | None":
        """The experiment that this is or belongs to; None where it belongs to none yet."""
        raise NotImplementedError

    def _stored(self) -> Mapping[str, Any]:
        """Return the record's stored fields."""
        return {} if self._whole is None else self._whole._owner._journal.fields(self._whole.slug)

    @property
    def dirty(self) -> bool:
        """Whether something was changed since the last save."""
        return any(field.startswith(self._prefix) for field in list(self._ledger.changed))

    # --- logging ---

    def log_parameter(self, name: str, value: Any) -> None:
        """Log a parameter, which holds from then on the JSON value that `value` stands for.

        Raises
        ------
        TypeError, ValueError
            When JSON cannot hold it; see `lazytrack.codec.plain`.
        ReadOnlyError
            When this may not be changed.
        """
        self.parameters[name] = value

    def log_parameters(self, parameters: Mapping[str, Any], *, redact: bool = False) -> None:
        """Log several parameters at once: all of them, or, where one is refused, none.

        Parameters
        ----------
        parameters
            Values by name; see `log_parameter`, also for what is raised.
        redact
            Log ``***`` in the place of secrets: values whose names, at any depth, say so, such as ``api_key``, and
            whatever looks like one, such as a token or a URL with a password.
        """
        if redact:
            from lazytrack.provenance.redact import redact_data  # noqa: PLC0415  (it takes longer to load than to log)

            parameters = redact_data({name: codec.plain(value, str(name)) for name, value in parameters.items()})
        self._section("parameters.").log(parameters)

    def log_artifact(
        self,
        name: str,
        value: Any,
        handler: str | None = None,
        fname: str | None = None,
        overwrite: bool = False,
        expiry: datetime | timedelta | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Associate an object with this; the next save writes it.

        Parameters
        ----------
        handler
            The alias of the handler that writes it, such as ``json`` or ``pickle``. By default one is chosen that
            brings back an equal object, which `artifacts` and the log show.
        fname
            The name of the file; by default made from the artifact's name and the time.
        overwrite
            Log a next version where there is an artifact of that name.
        expiry
            From when on it should not be used: a time (UTC where it has no zone), or how long from now, as a
            timedelta or as ``90d``, ``12h``, ``2w``.
        kwargs
            For the handler's writer.

        Raises
        ------
        ArtifactLogError
            When there is one of that name and `overwrite` is not given.
        ValueError
            When there is no such handler, or `expiry` cannot be read.
        TypeError
            When the handler cannot keep the object, where that can be told before it is written.
        UnsafePathError
            When `fname` points outside the store.
        ReadOnlyError
            When this may not be changed.
        """
        codec.text(name, "the name of an artifact")
        if handler is None:
            handler = handler_for(value)
            _log.info("artifact %r, of type %s, is kept by the handler %r", name, type(value).__qualname__, handler)
        handler_class = get_handler(handler)
        if fname is not None:
            naming.safe_path(codec.text(fname, f"fname of artifact {name!r}"))
        expires = None if expiry is None else codec.expiry(expiry, f"expiry of artifact {name!r}")
        handler_class.check_value(value, **kwargs)
        with self._ledger.lock:
            self._ledger.check()
            artifacts = self._artifact_map()
            version = 0
            if (present := artifacts.get(name)) is not None:
                if not overwrite:
                    raise ArtifactLogError(
                        f"there is an artifact {name!r} already: log_artifact(..., overwrite=True) makes a next version"
                    )
                version = present.version + (not present.dirty)
            artifact = handler_class.construct(
                name=name, value=value, fname=fname, expiry=expires, writer_kwargs=kwargs, version=version
            )
            warn_output_only(artifact, "cannot be loaded back later", stacklevel=3)
            self._ledger.note(f"{self._prefix}artifacts.{name}")
            artifacts[name] = artifact

    def load_artifact(self, name: str, validate: bool = True, *, trust: bool = False, **kwargs: Any) -> Any:
        """Read an artifact back.

        Parameters
        ----------
        validate
            Refuse one that was written in another environment, such as another version of Python.
        trust
            Read one that could run code, such as a pickle, also where no key that is held here has signed it.
        kwargs
            For the handler's reader.

        Raises
        ------
        ArtifactLoadError
            When there is none of that name, it is not saved yet, its file is gone or altered, or the environment
            differs.
        UntrustedArtifactError
            When reading it could run code, and it is not signed by a key that is held here.
        ValueError
            When its handler is not installed.
        """
        artifact = self._artifact_map().get(name)
        if artifact is None:
            raise ArtifactLoadError(f"no artifact {name!r} here; known: {self._known_artifacts()}")
        if self._whole is None:
            raise ArtifactLoadError(
                f"artifact {name!r} belongs to no experiment: append this to one, and save its project"
            )
        if artifact.dirty:
            raise ArtifactLoadError(f"artifact {name!r} is not saved yet: save the project, then load it")
        shelf = self._whole._owner._shelf_of(artifact)
        return load(artifact, shelf, kwargs, what=f"artifact {name!r}", validate=validate, trust=trust)

    def promote_artifact(self, repository: "Promoting", name: str) -> int:
        """Make an artifact the next version of its name in a repository, wherever that is.

        One that is saved here is copied, its bytes checked, without being loaded, and the repository has it when this
        returns. One that is not saved is only logged there: saving the repository writes it. The repository notes where
        it comes from, in `Repository.history` and `Repository.origin`.

        Returns
        -------
        int
            The number of the version.

        Raises
        ------
        ArtifactLoadError
            When there is none of that name.
        ArtifactLogError
            When it is not newer than the newest version there.
        SaveError
            When it cannot be copied; then nothing of it is there. Where the file is gone here, or altered, nothing was
            written at all.
        ReadOnlyError
            When the repository is open for reading only.
        """
        artifact = self._artifact_map().get(name)
        if artifact is None:
            raise ArtifactLoadError(f"no artifact {name!r} here; known: {self._known_artifacts()}")
        if self._whole is None:
            raise ArtifactLoadError(f"artifact {name!r} belongs to no experiment: append this to one")
        owner = self._whole._owner
        return repository.promote(
            artifact,
            owner._shelf_of(artifact),
            project=registry.search(owner.location) or owner.location,
            record=self._whole.slug,
            field=f"{self._prefix}artifacts.{name}",
        )

    def _known_artifacts(self) -> str:
        return ", ".join(repr(known) for known in self._artifact_map()) or "none"

    # --- sections ---

    @property
    def metrics(self) -> dict[str, Any]:
        """The last value of each metric; changes in it are logged changes."""
        return self._section("metrics.")

    @metrics.setter
    def metrics(self, value: Mapping[str, Any]) -> None:
        self._section("metrics.").replace(value)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters; changes in it, at any depth, are logged changes."""
        return self._section("parameters.")

    @parameters.setter
    def parameters(self, value: Mapping[str, Any]) -> None:
        self._section("parameters.").replace(value)

    @property
    def artifacts(self) -> list[Artifact]:
        """The artifacts' handlers, in the order they were logged; `log_artifact` adds one."""
        with self._ledger.lock:
            return Shown(self._artifact_map().values(), "log_artifact(...)")

    def _text(self, name: str) -> str | None:
        """Return a field as text; a stranger may have written anything there."""
        value = self._scalars.get(name)
        return None if value is None else str(value)

    @property
    def _scalars(self) -> Section:
        """What belongs to no section: names, times, status."""
        return self._section("")

    def _section(self, name: str) -> Section:
        section = self._sections.get(name)
        if section is None:
            with self._ledger.lock:
                section = Section(self._ledger, self._prefix + name, SECTIONS[name][0])
                section.put_all(self._read(name))
                section = self._sections.setdefault(name, section)  # another thread may have been faster
        return section

    def _plain(self, name: str) -> dict[str, Any]:
        """Return what a section holds, in containers of their own."""
        return {key: codec.plain(value, key) for key, value in self._section(name).items()}

    def _read(self, name: str) -> list[tuple[str, Any]]:
        """Return what the store says of a section: keys with plain values."""
        prefix = self._prefix + name
        start = len(prefix)
        unstore = SECTIONS[name][2]
        stored = self._stored()
        fields = [field for field in stored if field.startswith(prefix) and (name or "." not in field[start:])]
        try:
            return [(f[start:], v if type(v := stored[f]) is float else unstore(v)) for f in fields]
        except ValueError:
            return [(f[start:], unstore(stored[f])) for f in fields if self._is_sound(f, stored[f], unstore)]

    def _is_sound(self, field: str, value: Any, unstore: Callable[[Any], Any]) -> bool:
        """Tell whether a stored value can be held, and warn where it cannot: it hides no other."""
        try:
            unstore(value)
        except ValueError as error:
            record = "" if self._whole is None else self._whole.slug
            warnings.warn(f"{field} of {record} {error}: it is left out", StoreWarning, stacklevel=6)
            return False
        return True

    def _artifact_map(self) -> dict[str, Artifact]:
        with self._ledger.lock:
            if self._artifacts is None:
                prefix = f"{self._prefix}artifacts."
                record = "" if self._whole is None else self._whole.slug
                self._artifacts = {
                    field[len(prefix) :]: from_entry(field[len(prefix) :], entry, record=record, field=field)
                    for field, entry in self._stored().items()
                    if field.startswith(prefix)
                }
            return self._artifacts

    def _artifact_dicts(self) -> list[dict[str, Any]]:
        """Return the artifacts as plain JSON values."""
        return [to_dict(artifact) for artifact in self.artifacts]

    # --- saving and refreshing ---

    def _value(self, field: str) -> Any:
        """Return the strict JSON of one of its fields, `MISSING` where it is gone. Artifacts are not asked for."""
        head, dot, key = field.partition(".")
        section, key = (head + dot, key) if dot else ("", field)
        value = self._section(section).get(key, MISSING)
        return value if value is MISSING else SECTIONS[section][1](value)

    def _put_artifact(self, name: str, artifact: Artifact) -> None:
        """Hold a copy of an artifact of elsewhere, whether that is saved or not; a change."""
        with self._ledger.lock:
            self._ledger.note(f"{self._prefix}artifacts.{name}")
            mine = attrs.evolve(artifact)  # what becomes of it is each copy's own affair
            mine.stored = artifact.stored
            self._artifact_map()[name] = mine

    def _all_fields(self) -> list[str]:
        """Return the names of all its fields, as the record has them."""
        keys = [name + key for name in SECTIONS for key in self._section(name)]
        return [self._prefix + key for key in [*keys, *(f"artifacts.{name}" for name in self._artifact_map())]]

    def _move(self) -> None:
        """Take over what the store says by now of fields that are unchanged here. The caller holds the lock."""
        changed = self._ledger.changed
        for name, section in self._sections.items():
            stored = dict(self._read(name))
            for key in {**section, **stored}:
                if f"{self._prefix}{name}{key}" in changed:
                    continue
                if key in stored:
                    section.take_over(key, stored[key])
                else:
                    section.drop(key)
        if self._artifacts is not None:
            mine, self._artifacts = self._artifacts, None
            prefix = f"{self._prefix}artifacts."
            self._artifact_map().update({name: a for name, a in mine.items() if prefix + name in changed})


def artifact_file(field: str, value: Any, record: str) -> StoredFile | None:
    """Return the artifact file that a field of a record names; None where it names none."""
    return stored_in(value, record=record, field=field) if _IS_ARTIFACT.match(field) else None


def files_of(field: str, value: Any, record: str) -> list[StoredFile]:
    """Return the files that a field of a record names: of an artifact, of points, or of an environment."""
    if field.startswith(SERIES):
        try:
            segments = Stock.from_stored(value).segments
        except ValueError:  # it is reported when it is read
            return []
        return [
            StoredFile(path=s.path, sha256=s.sha256, size=s.size, record=record, field=field, folder=FOLDER)
            for s in segments
        ]
    if field in kept.KINDS or field.startswith(STEPS):
        return [
            StoredFile(
                path=kept.path_of(digest),
                sha256=digest,
                size=UNKNOWN,
                record=record,
                field=field,
                folder=kept.FOLDER,
            )
            for digest in kept.digests_in(field, value)
        ]
    file = artifact_file(field, value, record)
    return [] if file is None else [file]
