"""A command that is run as if nobody stood between: what it prints is shown as it comes, and kept."""

import codecs
import contextlib
import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Self

_PIECE_BYTES = 65_536
_PATIENCE_SECONDS = 2.0
"""How long to wait for output when the command has ended: what it left running in the background may hold it open."""
_HELD_BYTES = 2**20
"""No more than this can be on its way between a command and who shows it, when it has ended."""
_LOOK_SECONDS = 0.05
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_OF_THE_TERMINAL = {"SIGINT", "SIGQUIT"}
"""What a terminal sends to all that run in its foreground: the command has it already."""
STOPPED_BY = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)}
"""What a command is told to end by, rather than killed or dying by itself."""


def run(
    words: Sequence[str], *, environment: Mapping[str, str], keep: Callable[[str], object] | None
) -> tuple[int, set[int]]:
    """Run a command, and return its exit code, negative where a signal has ended it, and the signals that came.

    It has this process's standard input; where this process writes to a terminal, the command does, too, so that it
    shows colours and progress as ever.

    Parameters
    ----------
    keep
        Called with what it writes; None where its output is none of this process's business.

    Raises
    ------
    OSError
        When it cannot be run.
    """
    came: set[int] = set()
    with _Outputs(keep) as outputs, _Signals(came, outputs.resize) as signals:
        process = subprocess.Popen(  # noqa: S603  (whoever calls this wants it run)
            words, stdout=outputs.stdout, stderr=outputs.stderr, env=dict(environment)
        )
        signals.pass_on_to(process)
        outputs.begin()
        code = process.wait()
    return code, came


class _Outputs:
    """What a command writes to: this process's own streams, or ends of pipes or terminals whose other ends are here."""

    def __init__(self, keep: Callable[[str], object] | None) -> None:
        self._keep = keep
        self._pumps: list[_Pump] = []
        self._given: list[int] = []
        """The ends that are the command's."""
        self._read: list[tuple[int, int]] = []
        """Each end that is read here, with the stream that it is shown on."""
        self.stdout: int | None = None
        self.stderr: int | None = None
        if keep is not None:
            self.stdout = self._end(1)
            both = _is_terminal(1) and _is_terminal(2)
            self.stderr = self.stdout if both else self._end(2)

    def _end(self, shown_on: int) -> int:
        read, write = _open_terminal(shown_on) if _is_terminal(shown_on) else os.pipe()
        self._given.append(write)
        self._read.append((read, shown_on))
        return write

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        """Show and keep what comes, now that the command has its ends."""
        self._let_go()
        for read, shown_on in self._read:
            self._pumps.append(pump := _Pump(read, shown_on, self._keep))
            pump.start()

    def _let_go(self) -> None:
        for end in self._given:
            os.close(end)
        self._given = []

    def resize(self, *_: object) -> None:
        """Tell the command's terminals how large this one is by now."""
        for read, shown_on in self._read:
            if _is_terminal(shown_on):
                _copy_size(shown_on, read)

    def __exit__(self, *_: object) -> None:
        self._let_go()
        waiting, then = self._pumps, {pump: (pump.size, pump.quiet) for pump in self._pumps}
        while waiting := [pump for pump in waiting if pump.has_more(*then[pump])]:
            waiting[0].join(_LOOK_SECONDS)


class _Pump(threading.Thread):
    """Shows and keeps what comes out of one end.

    Parameters
    ----------
    read
        The end.
    shown_on
        The stream to show it on.
    keep
        Called with it.
    """

    def __init__(self, read: int, shown_on: int, keep: Callable[[str], object] | None) -> None:
        super().__init__(daemon=True)
        self._read = read
        self._shown_on = shown_on
        self._keep = keep
        self.size = 0
        """Bytes that came."""
        self._waited = 0.0
        """Seconds that nothing came, before it last did."""
        self._since: float | None = None
        """Since when nothing comes; None while something is being shown, which takes as long as who reads it."""

    def run(self) -> None:
        """Go on until all ends that the command and its children have are closed, or nobody reads any more."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            self._since = since = time.monotonic()
            try:
                piece = os.read(self._read, _PIECE_BYTES)
            except OSError:  # the other end of a terminal is closed
                piece = b""
            self._waited, self._since = self._waited + time.monotonic() - since, None
            self.size += len(piece)
            # It is kept first, so that of two streams what comes first is kept first, however slowly that is read.
            if self._keep is not None and (text := decoder.decode(piece, final=not piece)):
                self._keep(text.replace("\r\n", "\n"))
            if not piece:
                return
            try:
                _write(self._shown_on, piece)
            except OSError:  # who was to read it is gone: the command finds that out, too
                os.close(self._read)
                return

    @property
    def quiet(self) -> float:
        """Seconds that nothing came so far, other than while something was being shown."""
        waited = self._waited  # first: what is added to it between the two is counted too late, and not twice
        since = self._since
        return waited + (0.0 if since is None else time.monotonic() - since)

    def has_more(self, size: int, quiet: float) -> bool:
        """Tell whether to wait for what a command has written that ended at this size, when so long nothing had come.

        However slowly that is read: only what its children hold open is not waited for.
        """
        return self.is_alive() and self.size <= size + _HELD_BYTES and self.quiet <= quiet + _PATIENCE_SECONDS


def _write(stream: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(stream, view) :]
        except BlockingIOError:  # whoever has it, too, does not want to wait
            select.select([], [stream], [])


def _is_terminal(stream: int) -> bool:
    return os.name == "posix" and os.isatty(stream)


def _open_terminal(like: int) -> tuple[int, int]:
    import pty
    import termios

    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST  # line ends are made by the terminal that shows them
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    _copy_size(like, ours)
    return ours, theirs


def _copy_size(source: int, target: int) -> None:
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)


class _Signals:
    """Passes on the signals that this process gets: the command is what they are meant for, once it is there.

    What this process was told to ignore, as by nohup, the command ignores as well.

    Parameters
    ----------
    came
        Gets those that came.
    resize
        Called when the terminal has another size.
    """

    def __init__(self, came: set[int], resize: Callable[..., object]) -> None:
        self._came = came
        self._resize = resize
        self._before: dict[int, Any] = {}
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _PASSED_ON:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._pass_on)
            if hasattr(signal, "SIGWINCH"):
                self._before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resize)
        return self

    def pass_on_to(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass them on to a process from now on, those that came already first."""
        self._process = process
        while self._early:
            self._pass_on(self._early.pop(0), None)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._came.add(number)
        if self._process is None:
            self._early.append(number)
        elif not (signal.Signals(number).name in _OF_THE_TERMINAL and _is_in_foreground()):
            with contextlib.suppress(OSError):  # it has just ended
                self._process.send_signal(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _is_in_foreground() -> bool:
    """Tell whether a terminal sends its signals to this process, and so to the command."""
    if os.name != "posix":
        return True
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123  (a device)
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
