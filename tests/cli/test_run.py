"""A command that is run as an experiment: it runs as ever, and what became of it is there afterwards."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from lazytrack import Project, naming
from lazytrack.cli.running import parameters_in
from lazytrack.files import open_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and terminals of POSIX")
LAZYTRACK = [sys.executable, "-W", "error", "-m", "lazytrack"]
SECONDS = 60


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("LAZYTRACK_PROJECT", "LAZYTRACK_EXPERIMENT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*command, options=(), **how):
    """Run a command as an experiment, and return how that ended."""
    how = {"capture_output": True, "timeout": SECONDS, **how}
    return subprocess.run([*LAZYTRACK, "run", "-p", "tries", *options, "--", *command], check=False, **how)


def start(*command, options=(), **how):
    """Begin to run a command, and return the process, once the command has said that it is ready."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    process = subprocess.Popen([*LAZYTRACK, "run", "-p", "tries", *options, "--", *command], **how)
    assert process.stdout.readline() == b"ready\n"
    return process


def python(program, *arguments):
    return sys.executable, "-c", program, *arguments


def experiments():
    return Project("tries", mode="r").experiments


def the_experiment():
    [experiment] = experiments()
    return experiment


def record(experiment):
    """Return what the files say of an experiment, read without what folds them."""
    fields = {}
    for path in sorted(Path("tries/project/log").iterdir()):
        for patch in json.loads(path.read_bytes())["patches"]:
            if patch["record"] == experiment.slug:
                fields |= patch.get("set", {})
    return fields


def gone(process_id):
    """Tell whether a process has ended, within a few seconds."""
    for _ in range(100):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process_id}/stat").exists() and ") Z " in Path(f"/proc/{process_id}/stat").read_text():
            return True
        time.sleep(0.05)
    return False


# --- how it ends ---


@pytest.mark.parametrize(("code", "status"), [(0, "completed"), (3, "failed"), (255, "failed")])
def test_it_exits_as_the_command_does(code, status):
    assert run("sh", "-c", f"exit {code}").returncode == code
    experiment = the_experiment()
    assert (experiment.name, experiment.status) == ("sh", status)
    assert record(experiment)["exit_code"] == code
    assert experiment.error == (f"the command ended with exit code {code}" if code else None)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGKILL, "failed"), (signal.SIGSEGV, "failed"), (signal.SIGTERM, "stopped"), (signal.SIGINT, "stopped")],
)
def test_a_command_that_a_signal_ends_is_told_as_shells_tell_it(number, status):
    done = run(*python(f"import os, signal; signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), {int(number)})"))
    assert done.returncode == 128 + number
    experiment = the_experiment()
    assert experiment.status == status
    assert experiment.error == f"the command ended by {number.name}"
    assert record(experiment)["exit_code"] == 128 + number


def test_what_cannot_be_run_leaves_nothing(here):
    done = run("no-such-command")
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr == b"lazytrack: no-such-command is not found\n"
    Path("plain.sh").write_text("echo never")
    done = run("./plain.sh")
    assert done.returncode == 126
    assert b"may not be executed" in done.stderr
    assert not Path("tries").exists()
    assert subprocess.run([*LAZYTRACK, "run", "-p", "tries", "--"], check=False, capture_output=True).returncode == 2


def test_what_turns_out_to_be_no_program_has_failed(here):
    Path("odd").write_text("#!/no/such/interpreter\n")
    Path("odd").chmod(0o755)
    done = run("./odd")
    assert done.returncode == 126
    assert b"./odd cannot be run" in done.stderr
    assert the_experiment().status == "failed"


def test_what_it_is_given_is_kept(here):
    done = run("true", options=["--name", "first", "--tag", "a", "--tag", "b", "--notes", "why"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    experiment = the_experiment()
    assert (experiment.name, experiment.tags, experiment.notes) == ("first", ["a", "b"], "why")
    assert experiment.output == ""
    assert experiment.parent is None


def test_without_dashes_and_with_options_of_its_own():
    done = subprocess.run(
        [*LAZYTRACK, "run", "-p", "tries", "-n", "x", *python("import sys; print(sys.argv)", "-n", "--tag", "-p")],
        check=False,
        capture_output=True,
    )
    assert done.stdout == b"['-c', '-n', '--tag', '-p']\n"
    assert the_experiment().name == "x"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["./train.py"], "train"),
        ([sys.executable, "-W", "error", "train.py", "-m", "x"], "train"),
        ([sys.executable, "-m", "json.tool", "--help"], "json.tool"),
        (["sh", "-c", "true", "-m", "a message"], "sh"),
    ],
)
def test_it_is_called_as_its_program_is(here, command, name):
    Path("train.py").write_text(f"#!{sys.executable}\n")
    Path("train.py").chmod(0o755)
    assert run(*command).returncode == 0
    assert the_experiment().name == name


# --- what it prints and reads ---


def test_both_streams_are_shown_byte_for_byte_and_kept():
    program = (
        "import os\nfor n in range(60):\n    os.write(1 + n % 2, bytes(range(256)) * 300)\n"
        "os.write(1, b'caf\\xc3'); os.write(1, b'\\xa9 end')"
    )
    done = run(*python(program))
    assert done.returncode == 0
    assert done.stdout == bytes(range(256)) * 300 * 30 + "café end".encode()
    assert done.stderr == bytes(range(256)) * 300 * 30
    output = the_experiment().output
    assert "café end" in output
    # The pieces of both come as they come, and are decoded each for itself.
    assert Counter(output) == Counter(done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace"))


def test_what_it_reads_is_what_is_there_for_it():
    assert run("cat", input=b"\x00some\xff\r\n" * 20_000).stdout == b"\x00some\xff\r\n" * 20_000
    assert (
        run(*python("import sys; print(sys.stdin.isatty(), sys.stdout.isatty())"), input=b"").stdout == b"False False\n"
    )


def test_it_is_shown_as_it_comes():
    program = (
        "import sys; print('ready', flush=True); sys.stdin.readline();"
        "sys.stderr.write('more'); sys.stderr.flush(); sys.stdin.readline()"
    )
    process = start(*python(program), stdin=subprocess.PIPE)
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert process.stderr.read(4) == b"more"
    process.communicate(b"end\n")
    assert process.returncode == 0
    assert the_experiment().output == "ready\nmore"


def test_secrets_are_shown_and_not_kept(monkeypatch):
    token = "ghp_" + "a1B2" * 9
    monkeypatch.setenv("TOKEN", token)
    done = run(*python("import os; print('it is', os.environ['TOKEN'])", "--token", token, "--lr", "0.1"))
    assert done.stdout == f"it is {token}\n".encode()
    experiment = the_experiment()
    assert experiment.output == "it is ***\n"
    assert experiment.parameters["lr"] == 0.1
    assert token not in str(experiment.parameters)
    assert not [path for path in Path("tries").rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def test_nothing_is_kept_where_that_is_asked_for():
    done = run(*python("print(1); raise SystemExit(2)"), options=["--no-capture"])
    assert (done.returncode, done.stdout) == (2, b"1\n")
    experiment = the_experiment()
    assert (experiment.output, list(experiment.artifacts)) == ("", [])
    assert experiment.status == "failed"


def test_a_reader_that_goes_away_ends_the_command_as_ever():
    process = start(*python("print('ready', flush=True)\nwhile True: print('x' * 1000)"))
    process.stdout.close()
    assert process.wait(SECONDS) == 1  # what Python exits with when its output is gone
    assert b"BrokenPipeError" in process.stderr.read()
    process.stderr.close()
    assert the_experiment().status == "failed"
    assert the_experiment().output.startswith("ready\n")


@pytest.mark.slow
def test_a_reader_that_takes_its_time_gets_all_of_it():
    size = 150_000  # no more than is on its way when the command has ended
    program = f"import os, time; os.write(1, b'ready\\n'); time.sleep(2.5); print('x' * {size - 1})"
    process = start(*python(program))
    time.sleep(6)
    assert len(process.stdout.read()) == size
    process.communicate()
    assert len(the_experiment().output) == size + 6


@pytest.mark.slow
def test_what_is_left_in_the_background_is_not_waited_for(here):
    begun = time.monotonic()
    done = run("sh", "-c", "echo before; (while true; do echo tick; sleep 0.1; done) & echo $! > pid; echo after")
    try:
        assert time.monotonic() - begun < 30
        assert done.returncode == 0
        assert done.stdout.startswith(b"before\nafter\n") or b"after\n" in done.stdout
        assert "after\n" in the_experiment().output
    finally:
        os.kill(int(Path("pid").read_text()), signal.SIGKILL)


def test_a_stream_that_does_not_wait_loses_nothing():
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    process = subprocess.Popen(
        [*LAZYTRACK, "run", "-p", "tries", "--", *python("print('x' * 1_000_000)")],
        stdout=theirs,
    )
    os.close(theirs)
    time.sleep(1)
    with os.fdopen(ours, "rb") as file:
        assert len(file.read()) == 1_000_001
    assert process.wait(SECONDS) == 0


EAGER = """
import sys
from lazytrack import cli
from lazytrack.tracking import companions
companions.DEFAULT_SECONDS = 0.2
raise SystemExit(cli.main(sys.argv[1:]))
"""


def test_what_was_printed_is_saved_while_it_runs(here):
    Path("eager.py").write_text(EAGER)
    process = subprocess.Popen(
        [sys.executable, "eager.py", "run", "-p", "tries", "--", *python("print('ready', flush=True); input()")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    for _ in range(200):
        if the_experiment().output:
            break
        time.sleep(0.05)
    assert the_experiment().status == "running"
    assert the_experiment().output == "ready\n"
    process.communicate(b"end\n")
    assert the_experiment().status == "completed"


# --- terminals ---


class Terminal:
    """A terminal, with a session that runs a command in its foreground."""

    def __init__(self, *arguments, rows=33, columns=101):
        self.shown = b""
        self.process_id, self.ours = pty.fork()
        if self.process_id == 0:
            time.sleep(0.05)
            os.execv(sys.executable, [*LAZYTRACK, "run", "-p", "tries", *arguments])
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.ours, keys)

    def read_until(self, text):
        until = time.monotonic() + SECONDS
        while text not in self.shown and time.monotonic() < until and self._read():
            pass
        assert text in self.shown, self.shown

    def _read(self):
        if not select.select([self.ours], [], [], 1)[0]:
            return True
        try:
            piece = os.read(self.ours, 65536)
        except OSError:
            return False
        self.shown += piece
        return bool(piece)

    def end(self):
        """Read all that there is, and return the exit code, negative where a signal has ended it."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and self._read():
            pass
        _, status = os.waitpid(self.process_id, 0)
        os.close(self.ours)
        return os.waitstatus_to_exitcode(status)


needs_fork = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@needs_fork
def test_on_a_terminal_the_command_has_one_of_the_same_size():
    program = (
        "import os, sys; print([os.isatty(n) for n in range(3)], os.get_terminal_size(1), os.get_terminal_size(2));"
        "print('\\x1b[31mred\\x1b[0m'); sys.stderr.write('half\\rwhole\\n')"
    )
    terminal = Terminal("--", *python(program))
    assert terminal.end() == 0
    size = "os.terminal_size(columns=101, lines=33)"
    expected = f"[True, True, True] {size} {size}\r\n\x1b[31mred\x1b[0m\r\nhalf\rwhole\r\n"
    assert terminal.shown == expected.encode()
    assert the_experiment().output == expected.replace("\r\n", "\n")


@needs_fork
def test_a_terminal_that_changes_its_size_tells_the_command():
    program = "import os, sys; print('ready', flush=True); input(); print(os.get_terminal_size(1).columns)"
    terminal = Terminal("--", *python(program))
    terminal.read_until(b"ready")
    terminal.resize(20, 61)
    time.sleep(0.3)
    terminal.type(b"\n")
    terminal.read_until(b"61")
    assert terminal.end() == 0


@needs_fork
def test_what_is_typed_gets_to_the_command_once():
    terminal = Terminal("--", *python("print('ready', flush=True); print('got', repr(input()))"))
    terminal.read_until(b"ready\r\n")
    terminal.type(b"hello\n")
    assert terminal.end() == 0
    assert terminal.shown == b"ready\r\nhello\r\ngot 'hello'\r\n"


@needs_fork
def test_control_c_ends_the_command_and_is_recorded():
    program = "import os, time; print('ready', os.getpid(), flush=True); time.sleep(60)"
    terminal = Terminal("--", *python(program))
    terminal.read_until(b"ready ")
    terminal.read_until(b"\r\n")
    command = int(terminal.shown.split()[1])
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert gone(command)
    assert terminal.shown.count(b"KeyboardInterrupt") == 1
    experiment = the_experiment()
    assert experiment.status == "stopped"
    assert "SIGINT" in experiment.error
    assert "KeyboardInterrupt" in experiment.output


@needs_fork
def test_control_c_that_a_command_takes_comes_once():
    program = (
        "import select, signal, socket, time\nheard, told = socket.socketpair()\ntold.setblocking(False)\n"
        "signal.set_wakeup_fd(told.fileno())\nsignal.signal(signal.SIGINT, lambda *_: None)\n"
        "print('ready', flush=True)\nselect.select([heard], [], [])\ntime.sleep(0.5)\n"
        "print('count', len(heard.recv(9)))\n"
    )
    terminal = Terminal("--", *python(program))
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    assert terminal.end() == 0
    assert b"count 1\r\n" in terminal.shown
    assert the_experiment().status == "completed"


@needs_fork
def test_a_terminal_that_is_closed_ends_the_command():
    terminal = Terminal("--", *python("import os, time; print('ready', os.getpid(), flush=True); time.sleep(60)"))
    terminal.read_until(b"ready ")
    terminal.read_until(b"\r\n")
    command = int(terminal.shown.split()[1])
    os.close(terminal.ours)
    os.waitpid(terminal.process_id, 0)
    assert gone(command)
    assert the_experiment().status == "stopped"


# --- signals ---


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT"])
def test_signals_are_passed_on(name):
    program = (
        f"import signal, sys; signal.signal(signal.{name}, lambda *_: sys.exit(7)); print('ready', flush=True);"
        "[signal.pause() for _ in range(9)]"
    )
    process = start(*python(program), start_new_session=True)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=SECONDS)
    assert process.returncode == 7
    experiment = the_experiment()
    assert experiment.status == ("failed" if name.startswith("SIGUSR") else "stopped")
    assert record(experiment)["exit_code"] == 7


def test_a_command_that_a_passed_signal_kills_is_stopped_and_none_is_left():
    process = start(*python("import time; print('ready', flush=True); time.sleep(60)"))
    process.terminate()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert the_experiment().status == "stopped"
    assert the_experiment().error == "the command ended by SIGTERM"


def test_a_command_that_does_not_mind_goes_on():
    program = (
        "import signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\nprint('ready', flush=True)\n"
        "for _ in range(3): signal.sigwait({signal.SIGTERM}); print('no', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    process = start(*python(program), stdin=subprocess.PIPE)
    for _ in range(3):
        process.terminate()
        assert process.stdout.readline() == b"no\n"
    process.communicate(b"\n", timeout=SECONDS)
    assert process.returncode == 0
    assert the_experiment().status == "completed"
    assert the_experiment().output == "ready\n" + "no\n" * 3


def test_what_is_to_be_ignored_is_ignored_by_both():
    process = start(
        *python("import sys; print('ready', flush=True); sys.stdin.readline(); sys.exit(1)"),
        stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    process.communicate(b"\n", timeout=SECONDS)
    assert process.returncode == 1
    assert the_experiment().status == "failed"


def test_one_that_is_killed_leaves_a_record_that_goes_stale(monkeypatch):
    process = start(
        *python("import os, time; print('ready', flush=True); print(os.getpid(), flush=True); time.sleep(60)")
    )
    command = int(process.stdout.readline())
    process.kill()
    process.communicate()
    os.kill(command, signal.SIGKILL)
    experiment = the_experiment()
    assert (experiment.status, experiment.stale) == ("running", False)
    real = naming.now
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(minutes=16))
    assert the_experiment().stale


# --- parameters ---


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--lr 0.1", {"lr": 0.1}),
        ("--lr=0.1 --n=3", {"lr": 0.1, "n": 3}),
        ("--lr -0.1 --from -3 --min -1e-3", {"lr": -0.1, "from": -3, "min": -0.001}),
        ("--fast", {"fast": True}),
        ("--fast --lr 1", {"fast": True, "lr": 1}),
        ("--fast -v --lr 1", {"fast": True, "lr": 1}),
        ("model.lr=0.1 data=big", {"model.lr": 0.1, "data": "big"}),
        ("--fast model.lr=0.1", {"fast": True, "model.lr": 0.1}),
        ("+trainer.devices=2 ~x", {}),
        ("--url http://x?a=b", {"url": "http://x?a=b"}),
        ("--url=http://x?a=b", {"url": "http://x?a=b"}),
        ("http://x?a=b ./a=b", {}),
        ("--a 1 --a 2 --a=x", {"a": [1, 2, "x"]}),
        ("--batch-size 8 --batch_size 9", {"batch_size": [8, 9]}),
        ("--a true --b False --c null --d None", {"a": True, "b": False, "c": None, "d": None}),
        ("--empty= --x", {"empty": "", "x": True}),
        ("--list [1,2] --text '3' --hex 0x10", {"list": "[1,2]", "text": "'3'", "hex": "0x10"}),
        ("-x 3 -lr=3 positional", {}),
        ("-- data", {}),
        ("--", {}),
        ("--= --=3", {}),
        ("--deep " + "(" * 500, {"deep": "(" * 500}),
        (
            "--python 3.10 --seed 007 --commit 12e45671 --n 1_000",
            {"python": "3.10", "seed": "007", "commit": "12e45671", "n": "1_000"},
        ),
        ("--lr 1e-3 --wd 1.5E4 --inf inf --eps -2e-05", {"lr": 1e-3, "wd": 1.5e4, "inf": float("inf"), "eps": -2e-5}),
        ("--inf 1e999 --long " + "9" * 5000, {"inf": "1e999", "long": "9" * 5000}),
    ],
)
def test_options_are_parameters(words, found):
    assert parameters_in(["train", *words.split()]) == found


def test_parameters_are_there(here):
    run("true", "--lr", "0.1", "--layers.0.units=3", "--layers.0=x", "--name", "é/ü", "--password", "hunter2hunter2")
    parameters = dict(the_experiment().parameters)
    assert parameters.pop("password") != "hunter2hunter2"
    assert parameters == {"lr": 0.1, "layers.0.units": 3, "layers.0": "x", "name": "é/ü"}


def test_a_command_whose_words_are_no_text_is_run_all_the_same():
    done = run(*python("import sys, os; os.write(1, os.fsencode(sys.argv[2]))", "--path", b"\xff.csv"))
    assert (done.returncode, done.stdout) == (0, b"\xff.csv")
    assert the_experiment().parameters == {"path": "\\xff.csv"}


def test_where_nothing_can_be_kept_nothing_is_run(here):
    (here / "tries").mkdir()
    (here / "tries/project").write_text("a file")
    done = run(*python("open('ran', 'w')"))
    assert done.returncode == 6
    assert not (here / "ran").exists()


def test_a_working_folder_that_was_deleted_stops_nothing(here):
    folder = here / "gone"
    folder.mkdir()
    words = [*LAZYTRACK, "run", "-p", str(here / "tries"), "--", *python("print(1)")]
    done = subprocess.run(words, capture_output=True, check=False, cwd=folder, preexec_fn=folder.rmdir, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, b"1\n"), done.stderr
    assert the_experiment().status == "completed"


# --- scripts that log more ---

LOGS = """
import lazytrack
exp = lazytrack.current_experiment()
assert lazytrack.current_experiment() is exp
exp.log_metric("auc", 0.9)
for step in range(3):
    exp.log_metric("loss", 1 / (step + 1), step=step)
exp.log_artifact("model", [1, 2], "json")
print("logged")
"""


def test_a_script_logs_to_its_experiment():
    done = run(*python(LOGS))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"logged\n", b"")
    experiment = the_experiment()
    assert experiment.metrics == {"auc": 0.9, "loss": 1 / 3}
    assert experiment.history("loss").step == [0, 1, 2]
    assert experiment.load_artifact("model") == [1, 2]
    assert (experiment.status, experiment.error, experiment.output) == ("completed", None, "logged\n")
    assert Project("tries").fsck() == []


def test_the_traceback_of_a_script_that_logs_is_the_error():
    done = run(*python(LOGS + "def wrong():\n    raise ValueError('so it is')\nwrong()\n"))
    assert done.returncode == 1
    assert b"ValueError: so it is" in done.stderr
    experiment = the_experiment()
    assert experiment.status == "failed"
    assert experiment.error.startswith("Traceback")
    assert experiment.error.endswith("ValueError: so it is\n")
    assert experiment.metrics["auc"] == 0.9
    assert record(experiment)["exit_code"] == 1


def test_a_script_in_a_block_of_another_project_logs_to_its_experiment():
    program = "from lazytrack import Project\nwith Project('other') as p:\n    p.save()\n    with p.log('own'):\n"
    assert run(*python(program + LOGS.replace("\n", "\n        "))).returncode == 0
    assert the_experiment().metrics["auc"] == 0.9
    [own] = Project("other", mode="r").experiments
    assert (own.name, own.parent, own.metrics) == ("own", None, {})


def test_what_is_begun_within_is_a_child():
    program = f"""
import subprocess, sys
from lazytrack import Project, pipeline, step
with Project("tries") as project:
    project.log("logged").finish()
    explicit = project.log("explicit", parent="logged")
    explicit.finish()
with Project("elsewhere") as other:
    other.log("not here").finish()
@step
def one() -> int:
    return 1
@pipeline
def nightly() -> None:
    one()
with Project("tries"):
    nightly.with_options(run_name="nightly")()
for place in ("tries", "elsewhere"):
    subprocess.run({LAZYTRACK!r} + ["run", "-p", place, "--name", "nested", "--", "true"], check=True)
"""
    done = run(*python(program), options=["--name", "outer"])
    assert done.returncode == 0, done.stderr
    found = {experiment.name: experiment for experiment in experiments()}
    outer = found["outer"].slug
    assert {name: each.parent.slug if each.parent else None for name, each in found.items()} == {
        "outer": None,
        "logged": outer,
        "explicit": found["logged"].slug,
        "nested": outer,
        "nightly": outer,
    }
    assert {each.name for each in found["outer"].children} == {"logged", "nested", "nightly"}
    assert {each.status for each in found.values()} == {"completed"}
    assert [(each.name, each.parent) for each in Project("elsewhere", mode="r").experiments] == [
        ("not here", None),
        ("nested", None),
    ]


def test_the_environment_names_project_and_experiment(here):
    done = run(*python("import os; print(os.environ['LAZYTRACK_PROJECT'], os.environ['LAZYTRACK_EXPERIMENT'])"))
    assert done.stdout.decode().split() == [str(here / "tries" / "project.json"), the_experiment().slug]


def test_a_script_that_goes_elsewhere_still_finds_it(here):
    (here / "sub").mkdir()
    assert run(*python("import os; os.chdir('sub')" + LOGS)).returncode == 0
    assert the_experiment().metrics["auc"] == 0.9
    assert list((here / "sub").iterdir()) == []


@pytest.mark.slow
def test_a_project_in_a_bucket(s3, s3_server):
    url, options = s3
    variables = {**os.environ, "AWS_ENDPOINT_URL": s3_server.url}
    done = subprocess.run(
        [*LAZYTRACK, "run", "-p", url, "--", *python(LOGS)], check=False, capture_output=True, env=variables
    )
    assert (done.returncode, done.stdout) == (0, b"logged\n"), done.stderr
    [experiment] = Project(url, mode="r", **options).experiments
    assert (experiment.metrics["auc"], experiment.output) == (0.9, "logged\n")
    assert open_files(url, **options).names("") == ["project.json"]


# --- storage that fails ---


def test_a_project_that_cannot_be_written_fails_before_anything_is_run(here):
    Path("tries").write_text("a file")
    done = run("touch", "was-run")
    assert done.returncode in {5, 6}
    assert done.stderr.startswith(b"lazytrack: ")
    assert b"Traceback" not in done.stderr
    assert not Path("was-run").exists()


IMPATIENT = """
import sys
from lazytrack import cli
from lazytrack.tracking import autosave
autosave._PATIENCE_SECONDS = float(sys.argv.pop(1))
raise SystemExit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("patience", ["1", "60"])
def test_a_save_that_fails_at_the_end_keeps_the_exit_code_and_says_so(here, patience):
    Path("impatient.py").write_text(IMPATIENT)
    # Who runs it stands still meanwhile, or a save may make the folder anew between the two commands.
    breaks = "kill -STOP $PPID; mv tries kept; echo in the way > tries; kill -CONT $PPID; echo shown; exit 3"
    process = subprocess.Popen(
        [sys.executable, "impatient.py", patience, "run", "-p", "tries", "--", "sh", "-c", breaks],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.read(6) == b"shown\n"
    first = process.stderr.readline()
    assert b"could not be saved" in first
    if patience == "60":  # and the storage comes back
        Path("tries").unlink()
        Path("kept").rename("tries")
    _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 3
    assert b"Traceback" not in first + rest
    if patience == "60":
        assert (the_experiment().status, the_experiment().output) == ("failed", "shown\n")
    else:
        assert b"is lost" in rest
        Path("tries").unlink()
        Path("kept").rename("tries")
        assert the_experiment().status == "running"


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_one_that_is_deleted_meanwhile_keeps_the_exit_code(here, seconds):
    Path("eager.py").write_text(EAGER)
    program = (
        "import lazytrack, sys, time; p = lazytrack.Project('tries', mode='w+');"
        f"p.delete(p.experiments[0].slug); p.save(); time.sleep({seconds}); sys.exit(4)"
    )
    command = [sys.executable, "eager.py", "run", "-p", "tries", "--", *python(program)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)
    assert done.returncode == 4
    assert b"saved no more" in done.stderr
    assert b"Traceback" not in done.stderr
    assert experiments() == []


# --- what it ran with ---


@pytest.fixture
def provenance(monkeypatch, here):
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here))


def checkout(folder):
    folder.mkdir()
    (folder / "train.py").write_text(f"#!{sys.executable}\nprint('trained')\n")
    (folder / "train.py").chmod(0o755)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("command", [[sys.executable, "code/train.py"], ["code/train.py"]])
def test_the_checkout_of_the_script_is_recorded(here, provenance, command):
    commit = checkout(here / "code")
    assert run(*command, "--lr", "1").stdout == b"trained\n"
    experiment = the_experiment()
    assert experiment.git.commit == commit
    environment = experiment.environment
    assert environment.command == f"{' '.join(command)} --lr 1"
    assert str(environment.root) == str(here / "code")
    assert str(environment.executable) == sys.executable
    assert "lazytrack" in dict(environment.packages)


@pytest.mark.slow
def test_a_capture_that_takes_longer_than_the_command_is_of_the_command(here, provenance, monkeypatch):
    checkout(here / "code")
    (here / "bin").mkdir()
    (here / "bin" / "git").write_text(f'#!/bin/sh\nsleep 0.7\nexec {shutil.which("git")} "$@"\n')
    (here / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    assert run("code/train.py").returncode == 0
    assert the_experiment().environment.command == "code/train.py"


@pytest.mark.slow
def test_another_python_is_recorded_with_its_packages(here, provenance):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], check=True)
    site = next(Path("bare/lib").glob("python*")) / "site-packages" / "thing-1.2.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.2\n")
    Path("script").write_text(f"#!{here}/bare/bin/python\nimport sys; print(sys.prefix)\n")
    Path("script").chmod(0o755)
    for command in (["bare/bin/python", "script"], ["./script"]):
        assert run(*command, options=["-n", command[0]]).stdout == f"{here}/bare\n".encode()
        experiment = Project("tries", mode="r").experiments[-1]
        assert dict(experiment.environment.packages) == {"thing": "1.2"}
        assert str(experiment.environment.executable) == f"{here}/bare/bin/python"
        assert experiment.environment.command == " ".join(command)
