"""Steps on a machine that a real OpenSSH reaches: connections that are lost, secrets, and what it cannot give."""

import os
import signal
import sys
from pathlib import Path

import elsewhere
import pytest
from elsewhere import lines, until, until_gone

from lazytrack import StepRetryConfig, pipeline
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.step_operators import register_step_operator
from lazytrack.step_operators.ssh import SSHStepOperator, SSHStepOperatorConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("project")]
SECRET = "not-to-be-stored-anywhere"


@pytest.fixture
def registered(ssh_server):
    """Return what registers an operator for the machine."""

    def register(**settings):
        said = ssh_server.said
        usual = {"host": said["host"], "python": sys.executable, "options": ("-F", said["config"])}
        register_step_operator(SSHStepOperator("far", config=SSHStepOperatorConfig(**{**usual, **settings})))

    return register


def during(meanwhile, step, *args, **options):
    """Have a run with one call of a step, and do something meanwhile."""

    @pipeline(enable_cache=False, execution_mode="continue_on_failure")
    def whole() -> None:
        future = step.with_options(step_operator="far", **options).submit(*args)
        meanwhile()
        future.wait()

    return whole()


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def connection_of(pid):
    """Return the process of the ssh server that a process is of."""
    while not name_of(pid).startswith("sshd"):
        pid = parent_of(pid)
    return pid


def test_a_connection_that_is_lost_loses_the_step_and_ends_it_there(registered, tmp_path):
    registered()
    path = tmp_path / "pids"

    def cut():
        until(lambda: len(lines(path)) == 2)
        os.kill(connection_of(int(lines(path)[1])), signal.SIGKILL)

    with pytest.raises(PipelineRunError) as caught:
        during(cut, elsewhere.stays_with_a_child, str(path))
    cause = caught.value.__cause__
    assert isinstance(cause, WorkerLost)
    assert str(cause).splitlines()[0].endswith(" lost: ssh has lost the machine, or its process there was killed")
    until_gone(lines(path))


def test_a_process_that_dies_there_is_run_again_with_retry(registered, tmp_path):
    registered()
    path = tmp_path / "pid"

    def kill():
        until(lambda: lines(path))
        os.kill(int(lines(path)[0]), signal.SIGKILL)

    [made] = during(kill, elsewhere.stays_at_first, str(path), retry=StepRetryConfig(max_retries=1)).steps
    assert (made.status, made.output.read()) == ("completed", 7)
    assert "its process there was killed" in made.attempts[0]["error"]


def test_secrets_go_by_the_standard_input_and_are_in_no_command(registered, tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", SECRET)
    registered()
    path, flag = tmp_path / "pid", tmp_path / "flag"

    def look():
        until(lambda: lines(path))
        commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()]
        assert [command for command in commands if b"lazytrack.step_operators.lifeline" in command]
        assert [command for command in commands if SECRET.encode() in command] == []
        flag.touch()

    run = during(look, elsewhere.stays, str(path), str(flag), secrets=["LAZYTRACK_TESTED_SECRET"])
    assert run.steps[0].output.read() == 7


def test_a_folder_of_any_name_is_the_working_folder(registered, tmp_path):
    folder = tmp_path / 'it\'s a "folder" $HOME'
    folder.mkdir()
    registered(directory=str(folder))
    assert elsewhere.interpreter.with_options(step_operator="far")().endswith(f" {folder}")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"options": ("-F", "/dev/null", "-o", "ConnectTimeout=1"), "host": "no-such-host.invalid"},
            "cannot be used: ",
        ),
        ({"python": "/no/such/python"}, "/no/such/python of lazytrack-test cannot be used: "),
        ({"directory": "/no/such/folder"}, "cannot be used: "),
        ({"python": "/bin/false"}, "/bin/false of lazytrack-test cannot be used: "),
    ],
)
def test_a_machine_that_cannot_be_used_is_told_before_anything_starts(registered, project, settings, told):
    registered(**settings)
    with pytest.raises(StepInterfaceError, match=f"step 'double': step operator 'far': .*{told}"):
        elsewhere.double.with_options(step_operator="far")(1)
    assert [each for each in project.experiments if each.steps] == []


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        ({"cpu_count": 10_000}, r"asks for 10000 processors, and lazytrack-test has \d+"),
        ({"gpu_count": 64}, r"asks for 64 GPUs, and lazytrack-test has \d+"),
        ({"memory": "900TiB"}, r"asks for 921600 GiB of memory, and lazytrack-test has \S+"),
    ],
)
def test_what_the_machine_does_not_have_is_refused(registered, asks, told):
    registered()
    with pytest.raises(StepInterfaceError, match=f"step 'double' {told}"):
        elsewhere.double.with_options(step_operator="far", settings={"resources": asks})(1)


def test_a_client_that_is_not_there_is_told(registered, monkeypatch, tmp_path):
    registered()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepInterfaceError, match="step operator 'far': ssh is not installed here"):
        elsewhere.double.with_options(step_operator="far")(1)
