"""What an experiment belongs to: the place of a project, and what is known of its records."""

import contextlib
import functools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf, StoredFile
from lazytrack.artifacts.blobs import ARTIFACTS
from lazytrack.files import Files, cached, open_files, protocol, split
from lazytrack.files.held import Content, HeldFiles
from lazytrack.journal import Journal, Patch, head_path
from lazytrack.journal.condemned import is_condemned
from lazytrack.provenance import kept
from lazytrack.series import FOLDER, Piece, Reader, Segment, Source

if TYPE_CHECKING:
    from lazytrack.files.cache import Cache
    from lazytrack.tracking.experiment import Experiment
    from lazytrack.tracking.project import Project
    from lazytrack.tracking.record import Record


_NEVER_CHANGE = ("packs", ARTIFACTS, FOLDER, kept.FOLDER)
"""Folders whose files are written once: a copy of one is as good as the file."""


class Owner:
    """The place of a project. `Project` is an owner that can be opened, searched and saved.

    An experiment that was made directly, or that came from another process, has a plain owner until it is appended
    to a project: it can be read, and nothing of it is saved.

    Parameters
    ----------
    fpath, author, cache, storage_options
        As for `Project`.
    """

    mode = "a"

    def __init__(
        self,
        fpath: str | os.PathLike[str],
        author: str | None = None,
        *,
        cache: "Cache | str | os.PathLike[str] | bool" = False,
        **storage_options: Any,
    ) -> None:
        self.fpath = head_path(fpath, kind="project")
        self.author = naming.login() if author is None else codec.text(author, "author")
        self.storage_options = storage_options
        self._cache = cache
        self._until: float = math.inf
        """The last time that counts, in microseconds since 1970."""
        self._held: dict[str, Content] | None = None
        """The files of the store, by path, where they are in no folder."""
        self._stand_at(*split(self.fpath))

    def _stand_at(self, folder: str, head_name: str) -> None:
        self.dir, self._head_name = folder, head_name
        self._files = open_files(self.dir, **self.storage_options)
        if self._held is None:
            below = self._files.below(self._head_name.removesuffix(".json"))
            self._stand_on(cached(below, self._cache, _NEVER_CHANGE))
        else:
            self._stand_on(HeldFiles(self.location, self._held))

    def _stand_on(self, inside: Files) -> None:
        self.folder = inside.url
        """The folder of everything but the head."""
        self._journal = Journal(inside, until=self._until)
        self._shelf = Shelf(inside, learn=self._learn, is_condemned=functools.partial(is_condemned, self._journal))
        self._present: Journal | None = None
        """All that is stored, where this is a project as it was."""
        self._reader = Reader()
        self._there: set[str] = set()
        """Digests of environments and platforms whose files are there."""
        self._seen_shared: dict[str, dict[str, Any]] = {}
        """What these files say."""
        self._elsewhere: dict[tuple[str, str], Owner] = {}
        """Files, by path and digest, that records name and that have yet to be copied, with where they are."""
        self._adopted: dict[str, list[Patch]] = {}
        """Patches by record that are known here and not in the store: the next save writes them."""
        self._inherited: dict[str, list[Patch]] = {}
        """Patches by record that are known here and not in the store: where they come from is where they are saved."""
        self._upstream: dict[str, Project] = {}
        """Other projects that were opened to follow a dependency, by path."""

    @property
    def location(self) -> str:
        """The absolute path or URL of the project's head."""
        return f"{self.dir}/{self._head_name}"

    def options_for(self, path: str, *, cache: bool = True) -> dict[str, Any]:
        """Return the storage options, where `path` is on the filesystem that they are for.

        Parameters
        ----------
        cache
            Whether they are for a project, which is cached as this one is.
        """
        options = self.storage_options if protocol(path) == protocol(self.dir) else {}
        return {"cache": self._cache, **options} if cache else options

    @property
    def fs(self) -> Any:
        """The fsspec filesystem the project is on."""
        return self._files.fs

    def __getstate__(self) -> dict[str, Any]:
        """Return where this is and where its files are. What is stored is read anew, and locks do not travel."""
        return {
            "fpath": self.fpath,
            "author": self.author,
            "storage_options": self.storage_options,
            "cache": self._cache,
            "place": (self.dir, self._head_name),
            "elsewhere": dict(self._elsewhere),
            "until": self._until,
            "held": self._held,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.fpath, self.author, self.storage_options = state["fpath"], state["author"], state["storage_options"]
        self._cache, self._until, self._held = state["cache"], state["until"], state["held"]
        self._stand_at(*state["place"])
        self._elsewhere = dict(state["elsewhere"])

    def _holding(self, held: dict[str, Content]) -> "Owner":
        """Return an owner at the same place that has these files, by path, and nothing else."""
        place = Owner.__new__(Owner)
        place.__setstate__(Owner.__getstate__(self) | {"held": held, "elsewhere": {}})
        return place

    def _place(self, files: Iterable[StoredFile] = ()) -> "Owner":
        """Return an owner at the same place that knows where `files` are, and nothing else."""
        known = {(file.path, file.sha256): self._place_of(file) for file in files}
        elsewhere = {key: owner for key, owner in known.items() if owner is not self}
        place = Owner.__new__(Owner)
        place.__setstate__(Owner.__getstate__(self) | {"elsewhere": elsewhere})
        return place

    def _shelf_of(self, artifact: Artifact) -> Shelf:
        """Return where an artifact's file is read from."""
        return self._shelf if artifact.stored is None else self._place_of(artifact.stored)._shelf

    def _place_of(self, file: "StoredFile | Segment") -> "Owner":
        """Return where a file is, which is here unless it has yet to be copied."""
        return self._elsewhere.get((file.path, file.sha256), self)

    def _writers_of(self, slug: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the fields of a record that tell who logs to it, and those that tell where the points are.

        Points have times of their own. So of a project as it was, what is stored now tells where they are, unless the
        record was deleted since.
        """
        fields = self._journal.fields(slug)
        if self._until == math.inf:
            return fields, fields
        if self._present is None:
            self._present = Journal(self._journal.files)
            self._present.refresh()
        return fields, self._present.fields(slug) if slug in self._present else fields

    def _read_points(self, field: str, sources: Sequence[Source]) -> tuple[list[Piece], dict[str, str]]:
        """Return the points of a metric, and each file that is damaged with the reason."""
        return self._reader.pieces(
            field, sources, until=self._until, where=lambda segment: self._place_of(segment)._journal.files
        )

    def _shared(self, kind: str, digest: str) -> dict[str, Any]:
        """Return what many records share: a platform or an environment, as JSON.

        Raises
        ------
        FormatError
            When its file is gone or damaged.
        """
        if digest not in self._seen_shared:
            place = self._elsewhere.get((kept.path_of(digest), digest), self)
            self._seen_shared[digest] = kept.get(place._journal.files, kind, digest)
        return dict(self._seen_shared[digest])

    def _experiment_of(self, slug: str) -> "Experiment | None":
        """Return the experiment of a slug; None where there is none."""

    def _children_of(self, slug: str) -> "list[Experiment]":  # noqa: ARG002  (a place without a project knows of none)
        """Return the experiments whose parent is that of a slug."""
        return []

    def _look_again(self) -> bool:
        """Read what is new in the store, because a file is gone, and tell whether that can be done."""
        return False

    def _fetch_later(self, file: StoredFile, source: "Owner") -> None:
        """Have a file copied by the next save."""
        place = source._place_of(file)
        self._elsewhere.setdefault((file.path, file.sha256), place if place is not source else source._place())

    def _learn(self, size: int) -> None:
        """Tell the shelf of files that records name, before one of `size` bytes is written."""

    def _enlist(self, experiment: "Record") -> None:
        """Take note that an experiment has changes."""

    def _capturing_ends(self, experiment: "Record") -> None:
        """Take note that an experiment keeps what is printed no more."""

    def _saving(self) -> contextlib.AbstractContextManager[object]:
        """Wait for a save that is under way, and have none begin meanwhile, but by this thread."""
        return contextlib.nullcontext()

    def _save(self, only: "Record | None" = None) -> None:
        """Save what was enlisted, or one experiment."""
