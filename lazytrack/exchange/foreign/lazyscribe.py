"""lazyscribe: a JSON list of experiments, or of the versions of artifacts, with files beside it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.exchange.foreign.draft import LINKS, UNREADABLE, Draft, drafted, link_to, places_in
from lazytrack.files import Files, Stat, join, open_files, split

_OF_ARTIFACTS = {"name", "fname", "handler", "version", "created_at", "expiry"}
"""What lazyscribe says of every artifact; whatever else it says is what its handler needs."""
_RELEASES = "releases.json"


@attrs.define
class Importing:
    """One import of a project or a repository of lazyscribe.

    Parameters
    ----------
    files, path
        Where the JSON file is.
    entries
        What it holds.
    home, is_here
        What the project is called that it goes to, and what tells of a record whether it is there.
    dry
        Whether files are only counted.
    """

    files: Files
    path: str
    entries: list[dict[str, Any]]
    home: str
    is_here: Callable[[str], bool]
    dry: bool
    left_out: dict[str, list[str]] = attrs.Factory(dict)
    _listed: dict[str, dict[str, Stat]] = attrs.Factory(dict)
    """The files in each folder that was looked into."""

    @property
    def _is_repository(self) -> bool:
        return bool(self.entries) and all("handler" in entry and "slug" not in entry for entry in self.entries)

    # --- experiments ---

    def drafts(self) -> Iterator[Draft]:
        """Yield a draft for each experiment."""
        seen: Counter[str] = Counter()

        def make(entry: dict[str, Any]) -> Draft:
            slug = str(entry["slug"])
            seen[slug] += 1  # two of one name and second have one slug
            return self._draft(entry, slug, seen[slug])

        if not self._is_repository:
            yield from drafted(
                ((str(entry.get("slug", entry["name"])), entry) for entry in self.entries), make, self.left_out
            )

    def _draft(self, entry: Mapping[str, Any], slug: str, number: int) -> Draft:
        record = _record_of(slug, number)
        author = str(entry.get("author") or "unknown")
        by = str(entry.get("last_updated_by") or author)
        created_at, changed_at = (codec.parse_time(entry[key]) for key in ("created_at", "last_updated"))
        draft = Draft(
            record=record,
            by=by,
            created_at=created_at,
            changed_at=changed_at,
            source={"from": "lazyscribe", "id": slug},
            folder=f"{record}/",
            dry=self.dry and not self.is_here(record),
        )
        draft.put("name", str(entry["name"]))
        draft.put("author", author)
        draft.put("created_at", naming.iso(created_at))
        draft.put("last_updated", naming.iso(changed_at))
        draft.put("last_updated_by", by)
        draft.put("status", "completed")
        for tag in entry.get("tags") or ():
            draft.put(f"tags.{tag}", value=True)
        for reference in entry.get("dependencies") or ():
            self._put_dependency(draft, str(reference))
        self._put_logged(draft, entry, "", slug)
        taken: Counter[str] = Counter()
        for test in entry.get("tests") or ():
            short = naming.slug(str(test["name"]), "test")
            taken[short] += 1
            prefix = f"tests.{short}." if taken[short] == 1 else f"tests.{short}-{taken[short]}."
            draft.put(f"{prefix}name", test["name"])
            if test.get("description") is not None:
                draft.put(f"{prefix}description", test["description"])
            self._put_logged(draft, test, prefix, f"{slug}/{short}")
        return draft

    def _put_logged(self, draft: Draft, entry: Mapping[str, Any], prefix: str, folder: str) -> None:
        for name, value in (entry.get("metrics") or {}).items():
            draft.put_metric(name, value, field=f"{prefix}metrics.")
        for name, value in (entry.get("parameters") or {}).items():
            draft.put(f"{prefix}parameters.{name}", value)
        for artifact in entry.get("artifacts") or ():
            self._put_artifact(draft, f"{prefix}artifacts.{artifact['name']}", artifact, folder)

    def _put_artifact(self, draft: Draft, field: str, artifact: Mapping[str, Any], folder: str) -> None:
        fname = str(artifact["fname"])
        path = f"{folder}/{fname}"
        try:
            naming.check_inside(fname)
            naming.check_inside(path)
        except ValueError as error:
            draft.leave(UNREADABLE, f"{field}: {error}")
            return
        if folder not in self._listed:
            self._listed[folder] = dict(self.files.walk(folder))
        listed = self._listed[folder]
        if link_to(path, listed.items()) is not None:
            draft.leave(LINKS, field)
            return
        if (stat := listed.get(path)) is None:
            draft.leave(UNREADABLE, f"{field}: there is no {self.files.url}/{path}")
            return
        expiry = artifact.get("expiry")
        draft.put_file(
            field,
            str(artifact["handler"]),
            places_in(self.files, folder, [(path, stat)])[0],
            fname=fname,
            created_at=codec.parse_time(artifact["created_at"]),
            version=int(artifact.get("version") or 0),
            expiry=None if expiry is None else codec.parse_time(expiry),
            environment={key: value for key, value in artifact.items() if key not in _OF_ARTIFACTS},
        )

    def _put_dependency(self, draft: Draft, reference: str) -> None:
        """Say what an experiment builds on: one of this import, one that was imported before, or one elsewhere."""
        place, _, slug = reference.rpartition("|")
        record = _record_of(slug, 1)
        own = place.endswith(".json") and join(self.files.url, place) == f"{self.files.url}/{self.path}"
        if own or self.is_here(record) or any(entry["slug"] == slug for entry in self.entries):
            place = self.home
        else:
            draft.leave("dependencies on other projects: import these first, then this one again", f"{slug} of {place}")
        draft.put(f"dependencies.{naming.short_slug(record)}", f"{place}|{record}")

    # --- versions ---

    def versions(self) -> Iterator[Draft]:
        """Yield a draft for each version of an artifact."""
        if not self._is_repository:
            return
        named = ((f"{entry['name']}/{entry['version']}", entry) for entry in self.entries)
        yield from drafted(named, self._version, self.left_out)
        if _RELEASES in self.files.names(""):
            self.left_out["releases: copy their file beside the repository"] = [f"{self.files.url}/{_RELEASES}"]

    def _version(self, entry: Mapping[str, Any]) -> Draft:
        name, number = str(entry["name"]), int(entry["version"])
        created_at = codec.parse_time(entry["created_at"])
        draft = Draft(
            record=f"{naming.safe_part(name)}/{number}",
            by="unknown",
            created_at=created_at,
            changed_at=created_at,
            source={"from": "lazyscribe", "id": f"{name}/{number}"},
            folder="",
            dry=self.dry,
        )
        draft.put("name", name)
        draft.put("created_at", naming.iso(created_at))
        self._put_artifact(draft, f"artifacts.{name}", entry, name)
        if (said := draft.fields.pop(f"artifacts.{name}", None)) is not None:
            draft.fields["artifact"] = said
        return draft


def _record_of(slug: str, number: int) -> str:
    """Return the record of an experiment of lazyscribe; the slug it has there stays the beginning."""
    tail = naming.tail_of("lazyscribe", slug, *([str(number)] if number > 1 else []))
    stem, _, stamp = slug.rpartition("-")
    return f"{naming.slug(stem, 'experiment')}-{stamp}-{tail}"


def begin(
    source: str, *, home: str, is_here: Callable[[str], bool], dry: bool, options: Mapping[str, Any], **_: Any
) -> Importing:
    """Open a project or a repository, whose kind is seen in it.

    Raises
    ------
    ValueError
        When it is neither.
    FileNotFoundError
        When there is nothing.
    """
    folder, name = split(source)
    files = open_files(folder, **options)
    try:
        entries = json.loads(files.read(name))  # with NaN and the like, which strict JSON has not
    except IsADirectoryError as error:
        raise ValueError(f"{source} is a folder: name the JSON file of a project or a repository of lazyscribe") from (
            error
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} is no JSON: {error}") from error
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise ValueError(f"{source} is neither a project nor a repository of lazyscribe: those are lists of entries")
    return Importing(files, name, entries, home, is_here, dry)


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and (
        {"name", "slug", "created_at", "last_updated"} <= entry.keys()
        or {"name", "fname", "handler", "version", "created_at"} <= entry.keys()
    )
