"""Logs with autosave and ends as it is told.

Arguments: the project, and how to end: ``wait`` (until it is ended), ``return``, ``raise``, ``exit`` (by a block that
raises SystemExit), ``handler`` (wait, with a SIGTERM handler of its own), ``graceful`` (a handler that asks the loop
to end), ``chain`` (a handler that is installed later and calls the one before), ``thread`` (logs
from another thread), ``thread that goes on`` (when the main one has come to its end).
"""

import os
import signal
import sys
import threading
import time

from lazytrack import Project


def say(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def wait():
    while True:
        time.sleep(0.01)


HANDLERS = {"handler": lambda _: sys.exit(40), "graceful": lambda stop: stop.set()}


def main(path, how):
    project = Project(path)
    stop = threading.Event()
    if how in HANDLERS:
        signal.signal(signal.SIGTERM, lambda *_: HANDLERS[how](stop))
    if how in {"thread", "thread that goes on"}:
        thread = threading.Thread(target=log_late if "on" in how else log, args=(project,))
        thread.start()
        if how == "thread":
            thread.join()
        say("logged")
        return
    if how in {"handler", "graceful", "exit"}:
        with project.log("run", autosave=60) as exp:
            log_to(exp)
            say("logged")
            if how == "exit":
                sys.exit(41)
            if how == "graceful":
                stop.wait()
                exp.log_metric("loss", 9.0, step=200)
            else:
                wait()
        say(exp.status)
        return
    exp = log(project)
    if how == "chain":
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: (os.write(1, b"mine\n"), before(number, frame)))
    say("logged")
    if how in {"wait", "chain"}:
        wait()
    if how == "raise":
        raise ZeroDivisionError("of all things")


def log(project):
    exp = project.log("run", autosave=60)
    log_to(exp)
    return exp


def log_late(project):
    exp = project.log("run", autosave=60)
    threading.main_thread().join()
    time.sleep(0.2)
    log_to(exp)


def log_to(exp):
    while exp.dirty:  # the first save is at once
        time.sleep(0.01)
    for step in range(100):
        exp.log_metric("loss", 1.0, step=step)


if __name__ == "__main__":
    main(*sys.argv[1:])
