import io
import threading
import types

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from lazytrack import Project, progress
from lazytrack.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal on which bars are seen at once."""
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=Terminal()))
    monkeypatch.setattr(progress, "_PATIENCE", -1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return progress.sys.stderr


def test_a_bar_tells_what_is_done_and_how_much_of_it(terminal):
    with Progress("saving churn", files=3) as bar:
        for _ in range(3):
            bar.add_bytes(500_000)
            bar.add_file()
    shown = terminal.getvalue()
    assert "saving churn" in shown
    assert "3/3 files, 1.5 MB" in shown


def test_a_bar_of_a_known_size_counts_bytes(terminal):
    with Progress("loading model", size=2_000_000) as bar:
        bar.add_bytes(500_000)
        bar.add_bytes(1_500_000)
    assert "2.0/2.0 MB" in terminal.getvalue()


def test_a_bar_goes_when_it_is_done(terminal):
    with Progress("loading model", size=10) as bar:
        bar.add_bytes(10)
    length = len(terminal.getvalue())
    bar.add_bytes(10)
    assert len(terminal.getvalue()) == length
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased


def test_nothing_is_shown_of_what_is_quick(terminal, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 1000)
    with Progress("loading model", size=10) as bar:
        bar.add_bytes(10)
    assert terminal.getvalue() == ""


def test_nothing_is_shown_where_nobody_sees_it(terminal, monkeypatch):
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())
    with Progress("loading model", size=10) as bar:
        bar.add_bytes(10)
    assert progress.sys.stderr.getvalue() == ""
    monkeypatch.setattr(progress.sys, "stderr", None)  # a program without a console
    with Progress("loading model", size=10) as bar:
        bar.add_bytes(10)


def test_it_is_turned_off_by_the_environment(terminal, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_PROGRESS", "0")
    with Progress("loading model", size=10) as bar:
        bar.add_bytes(10)
    assert terminal.getvalue() == ""


def test_a_thread_that_saves_by_itself_shows_nothing(terminal):
    def work():
        with Progress("saving churn", files=1) as bar:
            bar.add_file()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert terminal.getvalue() == ""


def test_other_threads_tell_a_bar_of_what_they_have_done(terminal):
    with Progress("saving churn", files=8) as bar:
        threads = [threading.Thread(target=bar.add_file) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "8/8 files" in terminal.getvalue()


def test_saving_opening_and_loading_show_how_far_they_are(terminal, gcs):
    url, options = gcs
    project = Project(url, **options)
    exp = project.log("run")
    for number in range(3):
        exp.log_artifact(f"report {number}", "x" * 1000, handler="text")
    project.save()
    assert f"saving {url}/project.json" in terminal.getvalue()
    assert "3/3 files, 0.0 MB" in terminal.getvalue()
    terminal.truncate(0)
    found = Project(url, mode="r", **options)["run"]
    assert f"reading {url}" in terminal.getvalue()
    assert "1/1 files" in terminal.getvalue()
    terminal.truncate(0)
    found.load_artifact("report 1")
    assert "loading report 1" in terminal.getvalue()


class Logger:
    """What programs put in the place of a stream that sends all to a log."""

    def write(self, text):
        pass

    def flush(self):
        pass


def closed():
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Logger(), closed(), None, object()], ids=["logger", "closed", "none", "anything"])
def test_whatever_stands_for_the_terminal_stops_nothing(terminal, monkeypatch, stream, tmp_path):
    monkeypatch.setattr(progress.sys, "stderr", stream)
    project = Project(tmp_path / "churn")
    project.log("run").log_artifact("report", [1], handler="json")
    project.save()
    assert Project(tmp_path / "churn", mode="r")["run"].load_artifact("report") == [1]


def test_a_bar_that_fails_stops_nothing(terminal, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no colours")

    monkeypatch.setattr("rich.progress.Progress.update", fail)
    with Progress("saving churn", files=3) as bar:
        bar.add_file()
        bar.add_file()


def test_nothing_is_drawn_over_another_display(terminal, monkeypatch):
    monkeypatch.setattr(progress.sys, "stderr", FileProxy(Console(file=Terminal()), Terminal()))
    with Progress("saving churn", files=1) as bar:
        bar.add_file()
        assert bar._bar is None
