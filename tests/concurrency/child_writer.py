"""Logs experiments to a project, half of them with artifacts, and notes each one whose save has returned.

Arguments: the project, this writer's number, how many experiments, the file for the notes.
"""

import json
import os
import sys
from pathlib import Path

from lazytrack import Project

path, writer, count, notes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()

project = Project(path, author=f"writer {writer}", **json.loads(os.environ.get("STORAGE_OPTIONS", "{}")))
previous = None
with notes.open("a", encoding="utf-8") as acknowledged:
    for number in range(count):
        with project.log(f"writer {writer}") as exp:
            exp.log_parameter("writer", writer)
            exp.log_parameter("number", number)
            exp.log_metric("loss", number / 8)
            exp.tag("draft")
            if number % 2:
                exp.log_artifact("report", {"writer": writer, "number": number}, "json")
                exp.log_artifact("model", (writer, number), "pickle")
        if previous is not None:
            previous.log_metric("loss", -1)
            previous.tags.remove("draft")
        project.save()
        previous = exp
        acknowledged.write(exp.slug + "\n")
        acknowledged.flush()
