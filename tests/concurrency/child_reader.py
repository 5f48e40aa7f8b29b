"""Reads a project until its input ends: afresh each time, and by refreshing. What it has seen must never vanish.

Nor may what a writer was told is saved be missing from a reading that begins later. Arguments: the project, the folder
of the writers' notes.
"""

import json
import os
import sys
import threading
from pathlib import Path

from lazytrack import Project

path, notes = sys.argv[1], Path(sys.argv[2])
options = json.loads(os.environ.get("STORAGE_OPTIONS", "{}"))
stop = threading.Event()


def acknowledged():
    # A line that is being written is left for the next time.
    return {line for file in notes.iterdir() for line in file.read_text("utf-8").split("\n")[:-1]}


def seen_in(project):
    problems = project.problems
    assert problems == {}, problems
    numbers = {(exp.slug, exp.parameters["writer"], exp.parameters["number"]) for exp in project.experiments}
    assert len(numbers) == len(project.experiments)
    return numbers


sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

lasting = Project(path, **options)
seen, readings = set(), 0
while not stop.is_set():
    saved = acknowledged()
    for project in (Project(path, **options), lasting):
        project.refresh()
        now = seen_in(project)
        assert seen <= now, f"vanished: {seen - now}"
        assert saved <= {slug for slug, _, _ in now}, f"saved, but not to be seen: {saved}"
        seen = now
    readings += 1
sys.stdout.write(f"{readings}\n")
