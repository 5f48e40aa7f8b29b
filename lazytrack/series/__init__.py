"""Metric history: points with a step, a time and a rank, kept in columns, from as many writers as log to one run."""

from lazytrack.series.columns import MAX_STEP, Columns
from lazytrack.series.entries import (
    FOLDER,
    HEARTBEATS,
    MOST,
    SERIES,
    SUMMARIES,
    SYSTEM,
    WRITERS,
    Role,
    Segment,
    Stock,
    cuts,
    goes_by_clock,
    next_attempt,
    summary_from_stored,
)
from lazytrack.series.history import History, Piece
from lazytrack.series.reader import Reader, Source
from lazytrack.series.summary import Summary
from lazytrack.series.writer import Writer, Written

__all__ = [
    "FOLDER",
    "HEARTBEATS",
    "MAX_STEP",
    "MOST",
    "SERIES",
    "SUMMARIES",
    "SYSTEM",
    "WRITERS",
    "Columns",
    "History",
    "Piece",
    "Reader",
    "Role",
    "Segment",
    "Source",
    "Stock",
    "Summary",
    "Writer",
    "Written",
    "cuts",
    "goes_by_clock",
    "next_attempt",
    "summary_from_stored",
]
