"""Copies of a store: what is missing there is brought, in an order in which nothing is named before it is there."""

import functools
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import Future

import attrs

from lazytrack.artifacts.blobs import digest
from lazytrack.errors import ArtifactLoadError
from lazytrack.files import Files, Sending, Stat, threads_for
from lazytrack.journal import Journal, Patch, read_head
from lazytrack.journal.document import PACK_NAME, parse
from lazytrack.maintenance import Store
from lazytrack.progress import Progress

_JOURNAL = ("log", "packs")
_CLAIMS = "claims/"
_PUT_ASIDE = "damaged/"
_PIECE_BYTES = 2**20
_ATTEMPTS = 10
_TOGETHER = 64
"""So many files of the journal are read at once."""
_GONE = "is gone here, and a record names it"
_RELEASES = "releases.json"
"""The file beside a repository that says which versions belong together."""


@attrs.define(kw_only=True)
class Synced:
    """What was copied.

    Parameters
    ----------
    source, target
        The heads of the two stores.
    files, size
        What was copied: how many files, and their bytes.
    present
        How many files were there already.
    problems
        What is not as it should be, by file, with the reason.
    """

    source: str
    target: str
    files: int = 0
    size: int = 0
    present: int = 0
    problems: dict[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Side:
    """One of the two stores.

    Parameters
    ----------
    files, head
        The folder that its head is in, and what that is called.
    """

    files: Files
    head: str

    @property
    def inside(self) -> Files:
        """The folder of everything but the head."""
        return self.files.below(self.head.removesuffix(".json"))

    @property
    def url(self) -> str:
        """Of the head."""
        return f"{self.files.url}/{self.head}"


def sync(store: Store, source: Side, target: Side, *, kind: str, verify: bool = False) -> Synced:
    """Copy what of a store is missing in another one that is, or is going to be, a copy of it.

    Each file appears whole or not at all, artifacts before what names them, so this can be interrupted at any moment,
    and repeated. Others may go on writing to both.

    Parameters
    ----------
    store
        The source, which knows what its files have to be.
    kind
        ``project`` or ``repository``.
    verify
        Whether files that are there already are read and compared with these.

    Raises
    ------
    FileNotFoundError
        When there is no such store.
    ValueError
        When the source is an export, or the target within it.
    FileExistsError
        When the target is another store, or has gone on by itself.
    FormatError
        When there is something else at the target.
    OSError
        When one of them cannot be read, or the target not be written.
    """
    report = Synced(source=source.url, target=target.url)
    has_head = _check_heads(store, source, target, kind)
    if kind == "repository":
        _check_claims(source, target)
    for _ in range(_ATTEMPTS):
        # The journal is listed before everything that it names, and written after it.
        journal = [f"{folder}/{name}" for folder in _JOURNAL for name in source.inside.names(folder)]
        known = _digests(store)
        with Progress(f"syncing {target.url}", files=0) as progress:
            there, here = _listed(target.inside), _listed(source.inside)
            found = {path: stat for path, stat in here.items() if _is_content(path)}
            report.present = has_head + len(there.keys() & {*found, *journal}) - report.files  # of an earlier turn
            _compare_sizes(here, there, report)
            lost = known.keys() - found.keys() - there.keys()
            report.problems |= dict.fromkeys(lost, _GONE)
            missing = {path: stat for path, stat in found.items() if path not in there}
            _copy_all(source.inside, target.inside, missing, known, report, progress)
            if verify:
                _verify(target.inside, {p: known[p] for p in found.keys() & there.keys() & known.keys()}, report)
            gone = _copy_journal(source.inside, target.inside, [path for path in journal if path not in there], report)
        if not gone:  # what was packed meanwhile is in a pack that was not listed
            break
    else:
        raise OSError(f"{source.url} changes faster than it can be copied")
    if read_head(target.files, target.head, kind=kind) is None:
        target.files.create(target.head, source.files.read(source.head))
        report.files += 1
    if kind == "repository":
        _copy_releases(source.files, target.files, report)
    return report


def _copy_releases(source: Files, target: Files, report: Synced) -> None:
    """Copy the file of releases, which is not of the store, and can be changed at both places."""
    if _RELEASES not in source.names(""):
        return
    content = source.read(_RELEASES)
    if _RELEASES not in target.names(""):
        target.create(_RELEASES, content)
        report.files += 1
    elif target.read(_RELEASES) != content:
        report.problems[_RELEASES] = "is another one there: it is left as it is"


def _digests(store: Store) -> dict[str, str]:
    """Return the sha256 of the files that records name, by path, but for those that had expired and were collected."""
    store.refresh()
    needs = [need for need in store.with_parts([]) if not store.was_collected(need)]
    return {need.path: need.stored.sha256 for need in needs if need.stored is not None}


def _check_heads(store: Store, source: Side, target: Side, kind: str) -> bool:
    """Refuse what cannot be a copy, and tell whether there is one with a head."""
    ours, theirs = (read_head(side.files, side.head, kind=kind) for side in (source, target))
    if ours is None:
        raise FileNotFoundError(f"there is no {kind} at {source.url}")
    for head, side, refused in ((ours, source, ValueError), (theirs, target, FileExistsError)):
        if head is not None and head.kind == "export":
            raise refused(f"{side.url} is an export, which is one file: copy it, or merge it into a project")
    if theirs is not None and theirs.id != ours.id:
        raise FileExistsError(
            f"{target.url} is another {kind}, and no copy of {source.url}: `lazytrack merge` adds what one project "
            "holds to another"
        )
    if f"{target.url}/".startswith(f"{source.inside.url}/"):
        raise ValueError(f"{target.url} is within {source.inside.url}: each copy would hold the one before it")
    if theirs is None and (
        found := [f"{folder}/{name}" for folder in _JOURNAL for name in target.inside.names(folder)]
    ):
        _check_begun(store, source.inside, found, target)
    return theirs is not None


def _check_begun(store: Store, source: Files, found: list[str], target: Side) -> None:
    """Refuse a folder without a head that is not a copy of this store that was begun and interrupted."""
    if {f"{folder}/{name}" for folder in _JOURNAL for name in source.names(folder)}.intersection(found):
        return
    store.refresh()  # what was copied may be in a pack by now, as another file
    contents = [content for _, content in target.inside.read_many(found) if isinstance(content, bytes)]
    if not any(_says(store.journal, patch) for content in contents for patch in parse(content).patches):
        raise FileExistsError(f"{target.inside.url} holds something else, and has no head: sync to an empty place")


def _says(journal: Journal, patch: Patch) -> bool:
    """Tell whether a patch of another store is one of this, or was before its record was deleted."""
    record = patch["record"]
    return journal.is_deleted(record) or patch["at"] in journal.times(record).values()


def _check_claims(source: Side, target: Side) -> None:
    """Refuse a repository that has gone on by itself: one number would mean two things."""
    ours, theirs = (
        {path for path, _ in side.inside.walk(_CLAIMS.rstrip("/")) if path.startswith(_CLAIMS)}
        for side in (source, target)
    )
    both = sorted(ours & theirs)
    contents = dict(target.inside.read_many(both))
    for path, content in source.inside.read_many(both):
        if isinstance(content, bytes) and isinstance(contents[path], bytes) and content != contents[path]:
            number = path.removeprefix(_CLAIMS).removesuffix(".json")
            raise FileExistsError(
                f"{source.url} and {target.url} have both given number {number}: promote from one to the other"
            )


def _is_journal(path: str) -> bool:
    return path.partition("/")[0] in _JOURNAL


def _is_content(path: str) -> bool:
    return not _is_journal(path) and not path.startswith(_PUT_ASIDE)


def _listed(files: Files) -> dict[str, Stat]:
    """Return all files but those that are being written, or were when a writer died."""
    found = files.walk()
    return {path: stat for path, stat in found if not any(part.startswith(".") for part in path.split("/"))}


def _compare_sizes(here: Mapping[str, Stat], there: Mapping[str, Stat], report: Synced) -> None:
    for path in here.keys() & there.keys():
        if not path.startswith(_PUT_ASIDE) and here[path].size != there[path].size:
            report.problems[path] = (
                f"has {there[path].size} bytes there, and {here[path].size} here: delete it where it is wrong"
            )


def _copy_all(
    source: Files,
    target: Files,
    missing: Mapping[str, Stat],
    known: Mapping[str, str],
    report: Synced,
    progress: Progress,
) -> None:
    with Sending(threads_for(source, target), progress) as sending:
        copies: dict[str, Future[int]] = {
            path: sending.submit(functools.partial(_copy, source, target, path, known.get(path)), size=stat.size)
            for path, stat in missing.items()
        }
        for path, copy in copies.items():
            try:
                report.size += copy.result()
                report.files += 1
            except FileNotFoundError:  # it was collected meanwhile
                if path in known:
                    report.problems[path] = _GONE
            except ArtifactLoadError as error:
                report.problems[path] = str(error)


def _copy(source: Files, target: Files, path: str, sha256: str | None) -> int:
    """Copy one file, and return its size; where it is not what its record says, nothing is written."""
    with source.open_read(path) as file, target.open_write(path) as upload:
        shutil.copyfileobj(file, upload, _PIECE_BYTES)
        if sha256 is not None and upload.sha256 != sha256:
            upload.abort()
            raise ArtifactLoadError(f"has sha256 {upload.sha256} here, recorded is {sha256}: it was not copied")
        return upload.size


def _verify(target: Files, known: Mapping[str, str], report: Synced) -> None:
    for path, sha256 in known.items():
        with target.open_read(path) as file:
            found = digest(file)
        if found != sha256:
            report.problems[path] = f"has sha256 {found} there, recorded is {sha256}: delete it there, and sync again"


def _copy_journal(source: Files, target: Files, wanted: Iterable[str], report: Synced) -> list[str]:
    """Copy files of the journal, and return those that are gone by now."""
    gone = []
    ordered = sorted(wanted, key=_age)
    for first in range(0, len(ordered), _TOGETHER):
        some = ordered[first : first + _TOGETHER]
        contents = dict(source.read_many(some))
        for path in some:
            content = contents[path]
            if isinstance(content, FileNotFoundError):
                gone.append(path)
            elif isinstance(content, OSError):
                raise content
            else:
                if (problem := parse(content).problem) is not None:
                    report.problems[path] = problem
                target.create(path, content)
                report.files += 1
                report.size += len(content)
    return gone


def _age(path: str) -> tuple[int, str]:
    """Return what sorts the files of the journal such that what begins a record comes before what changes it.

    What was packed is older than what was not, and was packed again the oftener the older it is.
    """
    match = PACK_NAME.fullmatch(path)
    return -int(match[1]) if match else 0, path.rpartition("/")[2].rpartition("-")[0] if match else path
