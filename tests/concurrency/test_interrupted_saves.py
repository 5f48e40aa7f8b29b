"""Ctrl-C at any line of a save, with uploads under way: the next save writes all of it, once."""

import linecache
import sys

import pytest

from lazytrack import Project, naming
from lazytrack.files.memory import MemoryFiles


class Interruption:
    """Raises KeyboardInterrupt before the line of lazytrack's code that is run as the `at`-th, or the next that can be.

    A line that begins a block is run once more when the block ends: an interrupt then leaves its lock held, whatever
    the block does. That is Python's own limit.
    """

    def __init__(self, at):
        self.left = at

    def trace(self, frame, event, _):
        path = frame.f_code.co_filename.replace("\\", "/")
        if "/lazytrack/" not in path or path.endswith("/memory.py"):  # its lock stands for a server's, and would stay
            return None
        if event == "line":
            self.left -= 1
            if self.left <= 0 and not linecache.getline(path, frame.f_lineno).lstrip().startswith("with "):
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace


def logged(url):
    project = Project(url)
    project.log("first").log_metric("x", 0)
    project.save()
    exp = project.log("run")
    exp.log_parameter("lr", 0.1)
    for number in range(4):
        exp.log_artifact(f"report {number}", ["content", number], handler="json")
    exp.log_artifact("twin", ["content", 0], handler="json")
    for step in range(80):
        exp.log_metric("loss", float(step), step=step)
    project.log("second").log_metric("m", 1)
    return project


@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("begin", [1, 4, 8])
def test_a_save_that_was_interrupted_is_made_up_for_by_the_next_one(monkeypatch, together, begin):
    monkeypatch.setattr(MemoryFiles, "together", together)
    monkeypatch.setattr(MemoryFiles, "is_elsewhere", True)
    interrupted = 0
    for at in range(begin, 10_000, 17):
        url = f"memory://{naming.unique()}/churn"
        project = logged(url)
        interruption = Interruption(at)
        before = sys.gettrace()
        sys.settrace(interruption.trace)
        try:
            project.save()
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        project.save()
        found = Project(url, mode="r")
        exp = found["run"]
        assert exp.parameters == {"lr": 0.1}
        assert [exp.load_artifact(f"report {number}") for number in range(4)] == [["content", n] for n in range(4)]
        assert exp.load_artifact("twin") == ["content", 0]
        assert exp.history("loss").step == list(range(80))
        assert found["second"].metrics == {"m": 1}
        assert (len(found), found.problems) == (3, {})
        if interruption.left > 0:
            break
    assert interrupted > 50
