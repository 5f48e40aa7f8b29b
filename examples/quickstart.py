"""Log an experiment to a folder, read it back, and look at the file it made."""

import sys
from pathlib import Path

from lazytrack import Project

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart")

project = Project(folder)
with project.log("baseline") as exp:
    exp.log_parameter("learning_rate", 0.1)
    exp.log_metric("auc", 0.91)
    exp.tag("candidate")
    with exp.log_test("customers under 30") as test:
        test.log_metric("auc", 0.87)
    exp.log_artifact("thresholds", {"approve": 0.7, "review": 0.4}, handler="json")
project.save()

again = Project(folder, mode="r")
exp = again["baseline"]
print(exp.slug, exp.status, exp.parameters, exp.metrics, exp.tags)
print(exp.tests[0].name, exp.tests[0].metrics)
print(exp.load_artifact("thresholds"))

for path in sorted(folder.rglob("*.json")):
    print(f"\n{path.as_posix()}\n{path.read_text()}", end="")
