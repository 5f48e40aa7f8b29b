"""Upkeep of a store: which files nobody needs any more, and whether those are sound that somebody does."""

from lazytrack.maintenance.checking import Finding, Findings
from lazytrack.maintenance.collecting import Fate, Garbage
from lazytrack.maintenance.maintained import Maintained
from lazytrack.maintenance.store import Need, Store, needs_in

__all__ = ["Fate", "Finding", "Findings", "Garbage", "Maintained", "Need", "Store", "needs_in"]
