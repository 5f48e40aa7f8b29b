"""A command that is run as if nobody stood between: what it prints is shown as it comes, and kept."""

import codecs
import contextlib
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Self

_PIECE_BYTES = 65_536
_PATIENCE_SECONDS = 2.0
"""How long to wait for output when the command has ended: what it left running in the background may hold it open."""
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
    with _Outputs(keep) as outputs:
        process = subprocess.Popen(  # noqa: S603  (whoever calls this wants it run)
            words, stdout=outputs.stdout, stderr=outputs.stderr, env=dict(environment)
        )
        with _signals(process, came, outputs.resize):
            outputs.begin()
            code = process.wait()
    return code, came


class _Outputs:
    """What a command writes to: this process's own streams, or ends of pipes or terminals whose other ends are here."""

    def __init__(self, keep: Callable[[str], object] | None) -> None:
        self._keep = keep
        self._threads: list[threading.Thread] = []
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
            thread = threading.Thread(target=self._pump, args=(read, shown_on), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _let_go(self) -> None:
        for end in self._given:
            os.close(end)
        self._given = []

    def resize(self, *_: object) -> None:
        """Tell the command's terminals how large this one is by now."""
        for read, shown_on in self._read:
            if _is_terminal(shown_on):
                _copy_size(shown_on, read)

    def _pump(self, read: int, shown_on: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        is_shown = True
        while True:
            try:
                piece = os.read(read, _PIECE_BYTES)
            except OSError:  # the other end of a terminal is closed
                piece = b""
            if is_shown and piece:
                try:
                    _write(shown_on, piece)
                except OSError:  # who was to read it is gone: the command finds that out, too
                    is_shown = False
                    os.close(read)
                    piece = b""
            if self._keep is not None and (text := decoder.decode(piece, final=not piece)):
                self._keep(text.replace("\r\n", "\n"))
            if not piece:
                return

    def __exit__(self, *_: object) -> None:
        self._let_go()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)


def _write(stream: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(stream, view) :]


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


@contextlib.contextmanager
def _signals(process: "subprocess.Popen[bytes]", came: set[int], resize: Callable[..., object]) -> Iterator[None]:
    """Pass on the signals that this process gets: the command is what they are meant for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def pass_on(number: int, _: FrameType | None) -> None:
        came.add(number)
        if signal.Signals(number).name in _OF_THE_TERMINAL and _is_in_foreground():
            return
        with contextlib.suppress(OSError):  # it has just ended
            process.send_signal(number)

    try:
        for name in _PASSED_ON:
            if (number := getattr(signal, name, None)) is not None:
                before[number] = signal.signal(number, pass_on)
        if hasattr(signal, "SIGWINCH"):
            before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, resize)
        yield
    finally:
        for number, handler in before.items():
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
