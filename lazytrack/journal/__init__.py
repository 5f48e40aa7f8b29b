"""The manifest: patches in small files, folded into state and packed as they grow many."""

from lazytrack.journal.document import FORMAT, LOG_NAME, PACK_NAME, Patch, is_torn, writable
from lazytrack.journal.head import Head, head_path, read_head, write_head
from lazytrack.journal.journal import Journal

__all__ = [
    "FORMAT",
    "LOG_NAME",
    "PACK_NAME",
    "Head",
    "Journal",
    "Patch",
    "head_path",
    "is_torn",
    "read_head",
    "writable",
    "write_head",
]
