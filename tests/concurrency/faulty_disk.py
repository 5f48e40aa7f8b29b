"""A disk that fails at a chosen call: stands between lazytrack's local files and the operating system."""

import errno
import io
import os

from lazytrack.files import local

_COUNTED = {"fsync", "link", "listdir", "mkdir", "open", "replace", "scandir", "stat", "unlink"}


class FaultyDisk:
    """Counts the calls that reach the disk, and lets one of them fail.

    It stands for the names `os` and `open` in `lazytrack.files.local`.
    """

    def __init__(self):
        self.links = True
        self.longest_write = None
        self.disarm()

    def arm(self, nth, fault, *, late=False, lasting=False):
        """Let the `nth` call from now on fail: `fault` is called with its name.

        A `late` fault comes when the call has done its work, as a lost answer does; a `lasting` one stays.
        """
        self.calls, self.nth, self.fault, self.late, self.lasting = 0, nth, fault, late, lasting
        self.struck = []

    def disarm(self):
        self.arm(0, None)

    def call(self, name, function, *arguments, undo=None, **options):
        self.calls += 1
        due = self.nth and (self.calls == self.nth or (self.lasting and self.calls > self.nth))
        if due:
            self.struck.append(name)
            if not self.late:
                self.fault(name)
        try:
            result = function(*arguments, **options)
        except OSError:
            if due:
                self.fault(name)
            raise
        if due and self.late:
            if undo is not None:
                undo(result)
            self.fault(name)
        return result

    # --- what stands for `open` ---

    def open_file(self, path, mode, buffering=-1, opener=None):
        raw = self.call("open", _File, self, path, mode, undo=io.FileIO.close)
        return raw if buffering == 0 else io.BufferedReader(raw)

    # --- what stands for `os` ---

    def __getattr__(self, name):
        function = getattr(os, name)
        if name not in _COUNTED:
            return function
        if name == "link" and not self.links:
            function = _no_links
        if name == "fsync":  # no power is cut here, so there is no need to wait for the disk
            function = os.fstat
        undo = {"open": os.close, "scandir": _close}.get(name)
        return lambda *arguments, **options: self.call(name, function, *arguments, undo=undo, **options)


class _File(io.FileIO):
    def __init__(self, disk, path, mode):
        self._disk = disk
        super().__init__(path, mode)

    def write(self, data):
        return self._disk.call("write", super().write, data[: self._disk.longest_write])

    def read(self, size=-1):
        return self._disk.call("read", super().read, size)

    def readinto(self, buffer):
        return self._disk.call("readinto", super().readinto, buffer)

    def close(self):
        was_open = not self.closed
        super().close()
        if was_open:  # a close that reports an error has closed all the same
            self._disk.call("close", lambda: None)


def _close(entries):
    entries.close()


def _no_links(source, target):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)


def failing(number):
    """Return a fault: the error `number` of the operating system."""

    def fault(name):
        raise OSError(number, f"{os.strerror(number)} (injected into {name})")

    return fault


def install(monkeypatch):
    """Put a faulty disk under the local files, until the test ends."""
    disk = FaultyDisk()
    monkeypatch.setattr(local, "os", disk)
    monkeypatch.setattr(local, "open", disk.open_file, raising=False)
    return disk
