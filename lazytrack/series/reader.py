"""The reading side: the points that several writers have logged to one experiment."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from lazytrack.files import Files, is_of_the_file
from lazytrack.series import segment as file
from lazytrack.series.columns import Columns, Packed
from lazytrack.series.history import Piece
from lazytrack.series.log import Log, Segment, cuts


class Reader:
    """Reads the points of one store's experiments.

    The files of the experiment that was read last are remembered: they never change, and who looks at one metric
    is about to look at another.
    """

    def __init__(self) -> None:
        self._read: dict[str, dict[str, Packed]] = {}

    def pieces(
        self,
        field: str,
        logs: Mapping[str, Log],
        unsaved: Mapping[str, Columns],
        *,
        until: float,
        where: Callable[[Segment], Files],
    ) -> tuple[list[Piece], dict[str, str]]:
        """Return the points of one metric, ordered by rank and attempt, and each file that is damaged with the reason.

        Parameters
        ----------
        field
            The metric, as the record names it.
        logs
            What each writer has logged, by its id.
        unsaved
            Points that are not stored, by writer.
        until
            The last time that counts, in microseconds since 1970.
        where
            Tells in which store a file is.

        Raises
        ------
        OSError
            When the storage cannot be read.
        """
        segments = [segment for log in logs.values() for segment in log.segments if field in log.summary]
        read = {s.path: self._read[s.path] for s in segments if s.path in self._read}
        damaged: dict[str, str] = {}
        places: dict[str, tuple[Files, list[Segment]]] = {}
        for segment in segments:
            if segment.path not in read:
                files = where(segment)
                places.setdefault(files.url, (files, []))[1].append(segment)
        for files, there in places.values():
            news, wrong = read_segments(files, there)
            read |= news
            damaged |= wrong
        self._read = read
        hidden = cuts(logs, field)
        pieces = []
        for writer, log in sorted(logs.items(), key=lambda item: (item[1].rank, item[1].attempt, item[0])):
            parts: Iterable[Columns | Packed | None] = [
                *(read[path].get(field) for path in dict.fromkeys(s.path for s in log.segments) if path in read),
                log.recent.get(field),
                unsaved.get(writer),
            ]
            pieces += [
                Piece(rank=log.rank, points=part, before_step=hidden[writer], until=until) for part in parts if part
            ]
        return pieces, damaged


def read_segments(files: Files, segments: Sequence[Segment]) -> tuple[dict[str, dict[str, Packed]], dict[str, str]]:
    """Return the points of files, by path, and each file that is damaged or gone with the reason.

    Raises
    ------
    OSError
        When the storage cannot be read.
    """
    sound, damaged = {}, {}
    known = {segment.path: segment for segment in segments}
    for path, content in files.read_many(known):
        if isinstance(content, FileNotFoundError):
            damaged[path] = "is gone"
        elif isinstance(content, OSError):
            if not is_of_the_file(content):
                raise content
            damaged[path] = f"cannot be read: {content.strerror or content}"
        elif hashlib.sha256(content).hexdigest() != known[path].sha256:
            damaged[path] = "is not the file that was saved: its digest is another"
        else:
            try:
                sound[path] = file.parse(content)
            except ValueError as error:
                damaged[path] = str(error)
    return sound, damaged
