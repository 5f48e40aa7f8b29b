"""What experiments and tests have in common: parameters, metrics and artifacts, and the fields they are stored as."""

import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf, check_environment, from_entry, get_handler
from lazytrack.errors import ArtifactLoadError, ArtifactLogError
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.owned import Section

MISSING = object()
"""Stands for the value of a field that is not there any more."""

_SECTIONS: dict[str, tuple[Callable[[Any, str], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "": (codec.plain, codec.store, codec.unstore),
    "parameters.": (codec.plain, codec.store, codec.unstore),
    "metrics.": (codec.number, codec.store_number, codec.unstore_number),
}
"""Of each section, by what its fields begin with: logged to plain, plain to stored, stored to plain."""


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

    def _stored(self) -> Mapping[str, Any]:
        """Return the record's stored fields."""
        raise NotImplementedError

    def _shelf(self) -> Shelf | None:
        """Return where its artifact files are; None before it belongs to a project."""
        raise NotImplementedError

    # --- logging ---

    def log_metric(self, name: str, value: Any) -> None:
        """Log a metric; the last value stays.

        Parameters
        ----------
        value
            A real number or a list of them; numpy's and torch's are fine, and so are NaN and infinities.

        Raises
        ------
        TypeError
            When the value is no number.
        ValueError
            When it does not fit a float.
        ReadOnlyError
            When this may not be changed.
        """
        self.metrics[name] = value

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

    def log_artifact(
        self,
        name: str,
        value: Any,
        handler: str,
        fname: str | None = None,
        overwrite: bool = False,
        expiry: datetime | timedelta | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Associate an object with this; the next save writes it.

        Parameters
        ----------
        handler
            The alias of the handler that writes it, such as ``json`` or ``pickle``.
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
        UnsafePathError
            When `fname` points outside the store.
        ReadOnlyError
            When this may not be changed.
        """
        codec.text(name, "the name of an artifact")
        handler_class = get_handler(handler)
        if fname is not None:
            naming.safe_path(codec.text(fname, f"fname of artifact {name!r}"))
        expires = None if expiry is None else codec.expiry(expiry, f"expiry of artifact {name!r}")
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
            _warn_output_only(artifact, "cannot be loaded back later")
            self._ledger.note(f"{self._prefix}artifacts.{name}")
            artifacts[name] = artifact

    def load_artifact(self, name: str, validate: bool = True, **kwargs: Any) -> Any:
        """Read an artifact back.

        Parameters
        ----------
        validate
            Refuse one that was written in another environment, such as another version of Python.
        kwargs
            For the handler's reader.

        Raises
        ------
        ArtifactLoadError
            When there is none of that name, it is not saved yet, its file is gone or altered, or the environment
            differs.
        ValueError
            When its handler is not installed.
        """
        artifact = self._artifact_map().get(name)
        shelf = self._shelf()
        if artifact is None:
            known = ", ".join(repr(known) for known in self._artifact_map()) or "none"
            raise ArtifactLoadError(f"no artifact {name!r} here; known: {known}")
        if artifact.dirty or shelf is None:
            raise ArtifactLoadError(f"artifact {name!r} is not saved yet: save the project, then load it")
        _warn_output_only(artifact, "may not come back as the object it was")
        if validate:
            check_environment(artifact)
        return shelf.read(artifact, **kwargs)

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
        """The artifacts' handlers, in the order they were logged."""
        with self._ledger.lock:
            return list(self._artifact_map().values())

    @property
    def _scalars(self) -> Section:
        """What belongs to no section: names, times, status."""
        return self._section("")

    def _section(self, name: str) -> Section:
        section = self._sections.get(name)
        if section is None:
            with self._ledger.lock:
                section = Section(self._ledger, self._prefix + name, _SECTIONS[name][0])
                section.put_all(self._read(name))
                section = self._sections.setdefault(name, section)  # another thread may have been faster
        return section

    def _read(self, name: str) -> list[tuple[str, Any]]:
        """Return what the store says of a section: keys with plain values."""
        prefix = self._prefix + name
        start = len(prefix)
        unstore = _SECTIONS[name][2]
        return [
            (field[start:], value if type(value) is float else unstore(value))
            for field, value in self._stored().items()
            if field.startswith(prefix) and (name or "." not in field[start:])
        ]

    def _artifact_map(self) -> dict[str, Artifact]:
        with self._ledger.lock:
            if self._artifacts is None:
                prefix = f"{self._prefix}artifacts."
                self._artifacts = {
                    field[len(prefix) :]: from_entry(field[len(prefix) :], entry)
                    for field, entry in self._stored().items()
                    if field.startswith(prefix)
                }
            return self._artifacts

    def _artifact_dicts(self) -> list[dict[str, Any]]:
        """Return the artifacts as plain JSON values."""
        return [
            {
                "name": artifact.name,
                "handler": artifact.alias,
                "fname": artifact.fname,
                "version": artifact.version,
                "created_at": naming.iso(artifact.created_at),
                "expiry": None if artifact.expiry is None else naming.iso(artifact.expiry),
                **artifact.environment(),
            }
            for artifact in self.artifacts
        ]

    # --- saving and refreshing ---

    def _value(self, field: str) -> Any:
        """Return the strict JSON of one of its fields, `MISSING` where it is gone. Artifacts are not asked for."""
        head, dot, key = field.partition(".")
        section, key = (head + dot, key) if dot else ("", field)
        value = self._section(section).get(key, MISSING)
        return value if value is MISSING else _SECTIONS[section][1](value)

    def _all_fields(self) -> list[str]:
        """Return the names of all its fields, as the record has them."""
        keys = [name + key for name in _SECTIONS for key in self._section(name)]
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


def _warn_output_only(artifact: Artifact, consequence: str) -> None:
    if artifact.output_only:
        warnings.warn(
            f"artifact {artifact.name!r} is kept by the handler {artifact.alias!r}, which only writes: "
            f"it {consequence}",
            UserWarning,
            stacklevel=3,
        )
