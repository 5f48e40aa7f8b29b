"""Metric history: points with a step, a time and a rank, kept in columns, from as many writers as log to one run."""

from lazytrack.series.columns import MAX_STEP, Columns
from lazytrack.series.history import History, Piece
from lazytrack.series.log import MOST, SERIES, SYSTEM, Log, Segment, cuts
from lazytrack.series.reader import Reader
from lazytrack.series.summary import Summary
from lazytrack.series.writer import Writer

__all__ = [
    "MAX_STEP",
    "MOST",
    "SERIES",
    "SYSTEM",
    "Columns",
    "History",
    "Log",
    "Piece",
    "Reader",
    "Segment",
    "Summary",
    "Writer",
    "cuts",
]
