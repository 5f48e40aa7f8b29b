"""The reading side: the points that several writers have logged to one experiment."""

import hashlib
from collections.abc import Callable, Sequence

import attrs

from lazytrack.files import Files, is_of_the_file
from lazytrack.series import segment as file
from lazytrack.series.columns import Columns, Packed
from lazytrack.series.entries import Segment, Stock
from lazytrack.series.history import Piece


@attrs.frozen(kw_only=True)
class Source:
    """The points of one metric that one writer has logged.

    Parameters
    ----------
    rank
        Of the writer, -1 where it has none.
    before_step
        From which step on they do not count.
    stock
        Those that are stored, among others.
    unsaved
        Those that are not.
    """

    rank: int
    before_step: float
    stock: Stock
    unsaved: Columns


class Reader:
    """Reads the points of one store's experiments.

    The files of the experiment that was read last are remembered: they never change, and who looks at one metric
    is about to look at another.
    """

    def __init__(self) -> None:
        self._read: dict[str, dict[str, Packed]] = {}

    def pieces(
        self, field: str, sources: Sequence[Source], *, until: float, where: Callable[[Segment], Files]
    ) -> tuple[list[Piece], dict[str, str]]:
        """Return the points of one metric, in the order of the sources, and what is damaged: files with the reason.

        Parameters
        ----------
        field
            The metric, as the record names it.
        sources
            What each writer has logged.
        until
            The last time that counts, in microseconds since 1970.
        where
            Tells in which store a file is.

        Raises
        ------
        OSError
            When none of the files can be read, because of the storage.
        """
        segments = {segment.path: segment for source in sources for segment in source.stock.segments}
        read = {path: self._read[path] for path in segments if path in self._read}
        damaged: dict[str, str] = {}
        refused: OSError | None = None
        places: dict[str, tuple[Files, list[Segment]]] = {}
        for segment in segments.values():
            if segment.path not in read:
                files = where(segment)
                places.setdefault(files.url, (files, []))[1].append(segment)
        for files, there in places.values():
            news, wrong, error = read_segments(files, there)
            read |= news
            damaged |= wrong
            refused = refused or error
        if refused is not None and not read:  # and perhaps none can be read: that must not look like an empty history
            raise refused
        self._read = read
        pieces = []
        for source in sources:
            paths = dict.fromkeys(segment.path for segment in source.stock.segments)
            stored = [read[path].get(field) for path in paths if path in read]
            parts: list[Columns | Packed | None] = [*stored, source.stock.recent.get(field), source.unsaved]
            pieces += [
                Piece(rank=source.rank, points=points, before_step=source.before_step, until=until)
                for points in parts
                if points
            ]
        return pieces, damaged


def read_segments(
    files: Files, segments: Sequence[Segment]
) -> tuple[dict[str, dict[str, Packed]], dict[str, str], OSError | None]:
    """Return the points of files by path, each that is damaged or gone with the reason, and what a storage raised."""
    sound, damaged = {}, {}
    refused: OSError | None = None
    known = {segment.path: segment for segment in segments}
    for path, content in files.read_many(known):
        if isinstance(content, FileNotFoundError):
            damaged[path] = "is gone"
        elif isinstance(content, OSError):
            if not is_of_the_file(content):
                refused = content
            damaged[path] = f"cannot be read: {content.strerror or content}"
        elif hashlib.sha256(content).hexdigest() != known[path].sha256:
            damaged[path] = "is not the file that was saved: its digest is another"
            files.forget(path)
        else:
            try:
                sound[path] = file.parse(content)
            except ValueError as error:
                damaged[path] = str(error)
    return sound, damaged, refused
