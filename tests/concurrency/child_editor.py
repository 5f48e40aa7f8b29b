"""Edits one experiment again and again, saving each time.

Arguments: the project, the experiment's slug, this editor's number, how many times.
"""

import sys

from lazytrack import Project

path, slug, editor, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()

project = Project(path, mode="w+", author=f"editor {editor}")
exp = project[slug]
for number in range(count):
    exp.log_parameter(f"{editor}.{number}", number)
    exp.log_metric(editor, number)
    exp.tag(f"{editor}.{number}")
    project.save()
