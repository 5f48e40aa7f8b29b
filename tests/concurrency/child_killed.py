"""Forks savers and kills each with SIGKILL; what a saver prints after a save has returned is acknowledged.

Each line of input is one saver's fate, as JSON: ``project``; ``after`` so many seconds, or at the disk's n-th
``call``, before or ``late``, after it was done; ``packing`` besides, or not. Answers ``killed``, or ``ended`` when
the saver had nothing left to do.
"""

import itertools
import json
import os
import signal
import sys
import time

import pytest
from faulty_disk import install

from lazytrack import Project, naming
from lazytrack.artifacts import get_handler
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing


def save_one(project, number):
    with project.log("saved") as exp:
        exp.log_parameter("number", number)
        exp.log_artifact("report", {"slug": exp.slug}, "json")
        exp.log_artifact("model", exp.slug.encode() * 1000, "pickle", fname="deep/er/model.pkl")
    project.save()
    os.write(1, f"{exp.slug}\n".encode())


def save(fate):
    if "call" in fate:
        disk = install(pytest.MonkeyPatch())
        disk.arm(fate["call"], lambda _: os.kill(os.getpid(), signal.SIGKILL), late=fate["late"])
    project = Project(fate["project"])
    journal = Journal(open_files(project.folder))
    for number in itertools.count() if "after" in fate else range(3):
        save_one(project, number)
        if fate["packing"]:
            journal.pack(everything=number % 2 == 0)


packing.GRACE_SECONDS = -1  # one saver at a time, and nobody reads meanwhile
packing.LOOSE_LOW = 2
# What is loaded once, at the first save, is loaded before the forks.
naming.slug("saved", "")
get_handler("json")
for line in sys.stdin:
    fate = json.loads(line)
    pid = os.fork()
    if pid == 0:
        try:
            save(fate)
        except Exception:  # noqa: BLE001  (a fork must not go on with its parent's loop)
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if "after" in fate:
        time.sleep(fate["after"])
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        answer = b"killed\n"
    else:
        assert os.WEXITSTATUS(status) == 0
        answer = b"ended\n"
    os.write(1, answer)
