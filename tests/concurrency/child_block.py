"""Logs in a block and stays in it until it is killed.

Arguments: the project; ``exiting`` to turn SIGTERM into an exception, as many programs do.
"""

import signal
import sys
import time

from lazytrack import Project

if "exiting" in sys.argv:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))

project = Project(sys.argv[1])
with project.log("killed") as exp:
    exp.log_parameter("saved", 1)
    exp.log_artifact("report", "saved", "json")
    project.save()
    exp.log_metric("not saved", 2)
    exp.log_artifact("model", "not saved", "pickle")
    project.log("another").tag("not saved")
    sys.stdout.write(exp.slug + "\n")
    sys.stdout.flush()
    while True:
        time.sleep(0.01)  # a signal that comes just before a wait without end would not end it
