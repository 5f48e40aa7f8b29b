"""The manifest: patches in small files, folded into state and packed as they grow many."""

from lazytrack.journal.document import FORMAT, Patch, writable
from lazytrack.journal.head import Head, head_path, read_head, write_head
from lazytrack.journal.journal import Journal

__all__ = ["FORMAT", "Head", "Journal", "Patch", "head_path", "read_head", "writable", "write_head"]
