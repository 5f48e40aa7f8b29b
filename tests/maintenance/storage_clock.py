"""A storage whose clock tests move."""

import attrs

from lazytrack.files.local import LocalFiles

HOUR = 3600
DAY = 24 * HOUR


class StorageClock:
    """The clock of local disks, which goes as the real one does, and ahead of it by what a test says."""

    def __init__(self, monkeypatch):
        self._offsets = {}
        self.ahead = 0.0
        walk, stat = LocalFiles.walk, LocalFiles.stat

        def moved(files, path, found):
            key = f"{files.url}/{path}", found.modified
            return attrs.evolve(found, modified=found.modified + self._offsets.setdefault(key, self.ahead))

        monkeypatch.setattr(LocalFiles, "stat", lambda files, path: moved(files, path, stat(files, path)))
        monkeypatch.setattr(
            LocalFiles, "walk", lambda files, folder="": ((p, moved(files, p, s)) for p, s in walk(files, folder))
        )

    def pass_by(self, seconds, *stores):
        """Let time pass for the storage; what is there by now stays of the time it is of."""
        for store in stores:
            list(store._journal.files.walk())
        self.ahead += seconds
