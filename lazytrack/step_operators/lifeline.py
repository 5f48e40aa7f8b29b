"""A program that runs another one, far from whoever asked for it, and that ends with them.

``python -m lazytrack.step_operators.lifeline MODULE ARGUMENT...`` reads a line of JSON from its standard input, the
variables that the module is to have, and runs the module. When its standard input ends, whoever asked is gone: then it
ends, and all that it has started.
"""

import contextlib
import json
import os
import runpy
import signal
import sys
import threading

_ENDED = 143


def main() -> None:
    """Run what the arguments name."""
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):  # it leads a group of its own already
            os.setsid()
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(_ENDED)
    os.environ.update(json.loads(line))
    threading.Thread(target=_watch, args=(os.dup(0),), name="lazytrack lifeline", daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch(line: int) -> None:
    """End when the other side is gone, with all that was started here."""
    while os.read(line, 4096):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(_ENDED)


if __name__ == "__main__":
    main()
