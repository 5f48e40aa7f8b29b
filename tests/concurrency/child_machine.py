"""A machine whose clock is wrong: opens a project, and reads, changes and saves what it is told to.

Each line of input is a JSON list: ``["read", name]`` refreshes and answers with the experiment's metrics and tags;
``["write", name, value]`` sets its metric ``last`` and toggles its tag ``odd``, saves, and answers with the time the
machine believes it is. Arguments: the project, by how many seconds the clock is fast.
"""

import json
import sys
from datetime import timedelta

from lazytrack import Project, naming

path, fast = sys.argv[1], timedelta(seconds=float(sys.argv[2]))
right = naming.now
naming.now = lambda: right() + fast

project = Project(path, mode="w+")
for line in sys.stdin:
    match json.loads(line):
        case ["read", name]:
            project.refresh()
            exp = project[name]
            answer = [exp.metrics.get("last"), list(exp.tags)]
        case ["write", name, value]:
            exp = project[name]
            exp.log_metric("last", value)
            exp.tags = ["odd"] if value % 2 else []
            project.save()
            answer = naming.iso(naming.now())
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
