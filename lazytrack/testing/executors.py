"""What lazytrack relies on in an executor, as tests: for those who run steps on one that is not among ours."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from lazytrack import (
    Project,
    StepRetryConfig,
    current_experiment,
    get_step_context,
    log_metadata,
    pipeline,
    step,
    unmapped,
)
from lazytrack.errors import PipelineRunError, StepFailed, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.steps.envelope import Parcel, Sender

_PATIENCE_SECONDS = 120


class ExecutorTests:
    """What is relied on wherever submitted steps run.

    Subclass it, name the class ``Test…``, and give it a fixture `executor` that returns what a pipeline's
    ``executor=`` takes: a word, an address, or an executor object.
    """

    at_once: int = 1
    """How many steps run at the same time, at least."""

    @pytest.fixture
    def executor(self) -> Any:
        """Return where steps are to run."""
        raise NotImplementedError("give the suite a fixture executor")

    @pytest.fixture(autouse=True)
    def project(self, tmp_path: Path) -> Iterator[Project]:
        """Have runs recorded in a project of their own."""
        with Project(tmp_path / "runs") as project:
            yield project

    def test_results_are_in_the_order_of_the_inputs(self, executor: Any) -> None:
        @step
        def square(n: int) -> int:
            return n * n

        @step
        def total(parts: list[int]) -> int:
            return sum(parts)

        @pipeline(executor=executor)
        def whole() -> None:
            squares = square.map(list(range(20)))
            again = square.map(squares)
            assert total.submit(again).load() == sum(n**4 for n in range(20))
            assert squares.load() == [n * n for n in range(20)]

        first, second = whole(), whole()
        assert {made.status for made in first.steps} == {"completed"}
        assert {made.status for made in second.steps} == {"cached"}

    def test_artifacts_of_any_type_come_and_go(self, executor: Any) -> None:
        @step
        def make() -> tuple[Annotated[bytes, "raw"], Annotated[set[int], "numbers"], None]:
            return b"\0\xff", {1, 2}, None

        @step
        def look(raw: bytes, numbers: set[int], parts: list[Any]) -> str:
            return f"{raw!r} {sorted(numbers)} {parts!r}"

        @pipeline(executor=executor)
        def whole() -> None:
            made = make.submit()
            raw, numbers, nothing = made
            assert look.submit(raw, numbers, [nothing, raw]).load() == r"b'\x00\xff' [1, 2] [None, b'\x00\xff']"

        whole()

    def test_code_that_cannot_be_imported_is_run_as_it_is(self, executor: Any) -> None:
        by = 10

        def helper(n: int) -> int:
            return n * by

        @step
        def uses(n: int) -> int:
            return helper(n)

        @pipeline(executor=executor)
        def whole() -> None:
            assert uses.submit(4).load() == 40

        whole()

    def test_what_a_step_says_logs_and_prints_is_recorded(self, executor: Any) -> None:
        @step
        def tells(n: int) -> Annotated[int, "n"]:
            sys.stdout.write(f"step {n}\n")
            log_metadata({"number": n})
            context = get_step_context()
            context.add_output_metadata({"unit": "m"})
            current_experiment().log_metric(f"of {context.step_name}", n)
            return n

        @pipeline(executor=executor)
        def whole() -> None:
            current_experiment().log_parameter("from", "the body")
            tells.map([1, 2, 3]).wait()
            assert current_experiment().metrics["of tells"] == 1

        run = whole()
        assert run.experiment.metrics == {"of tells": 1, "of tells_2": 2, "of tells_3": 3}
        for number, made in enumerate(run.steps, 1):
            assert made.logs == f"step {number}\n"
            assert made.metadata["number"].value == number
            assert made.output.metadata["unit"].value == "m"
            assert made.start_time is not None
            assert made.end_time is not None
            assert made.start_time <= made.end_time

    def test_a_failure_is_the_original_where_it_is_awaited(self, executor: Any) -> None:
        @step
        def fails(n: int) -> int:
            raise LookupError(f"no {n}")

        @step
        def needs(n: int) -> int:
            return n

        @pipeline(executor=executor, execution_mode="continue_on_failure")
        def awaited() -> None:
            future = fails.submit(1)
            below = needs.submit(future)
            with pytest.raises(LookupError, match="no 1"):
                future.load()
            with pytest.raises(LookupError, match="no 1"):
                below.load()

        @pipeline(executor=executor)
        def unheard() -> None:
            fails.submit(2)

        run = awaited()
        assert run.status == "completed"
        assert {made.name: str(made.status) for made in run.steps} == {"fails": "failed", "needs": "skipped"}
        assert "LookupError: no 1" in str(run.get_step("fails").error)
        with pytest.raises(PipelineRunError, match="failed in 'fails'") as caught:
            unheard()
        assert isinstance(caught.value.__cause__, LookupError)

    def test_a_failing_step_is_tried_again(self, executor: Any, tmp_path: Path) -> None:
        @step(retry=StepRetryConfig(max_retries=2))
        def flaky(folder: str) -> int:
            tries = len(list(Path(folder).iterdir()))
            Path(folder, str(tries)).touch()
            if tries < 2:
                raise OSError(f"try {tries}")
            return tries

        @pipeline(executor=executor)
        def whole() -> None:
            assert flaky.submit(str(tmp_path / "tries")).load() == 2

        (tmp_path / "tries").mkdir()
        attempts = whole().get_step("flaky").attempts
        assert [each["status"] for each in attempts] == ["retried", "retried"]
        assert "OSError: try 1" in attempts[1]["error"]

    def test_continue_on_failure_runs_what_does_not_need_what_failed(self, executor: Any) -> None:
        @step
        def maybe(n: int) -> int:
            if n == 1:
                raise LookupError(n)
            return n

        @pipeline(executor=executor, execution_mode="continue_on_failure")
        def whole() -> None:
            maybe.map(maybe.map([0, 1, 2]))

        with pytest.raises(PipelineRunError):
            whole.with_options(run_name="goes on")()
        statuses = {made.name: str(made.status) for made in get_run("goes on").steps}
        assert statuses == {
            "maybe": "completed",
            "maybe_2": "failed",
            "maybe_3": "completed",
            "maybe_4": "completed",
            "maybe_5": "skipped",
            "maybe_6": "completed",
        }

    def test_an_environment_holds_for_its_step_alone(self, executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = "-".join(["not", "to", "be", "stored"] * 2)
        monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", secret)

        @step(enable_cache=False)
        def sees() -> str | None:
            return os.environ.get("LAZYTRACK_TESTED")

        @step(enable_cache=False, secrets=["LAZYTRACK_TESTED_SECRET"])
        def uses() -> int:
            sys.stdout.write(os.environ["LAZYTRACK_TESTED_SECRET"] + "\n")
            return len(os.environ["LAZYTRACK_TESTED_SECRET"])

        @pipeline(executor=executor)
        def whole() -> None:
            mine = [sees.with_options(environment={"LAZYTRACK_TESTED": str(n)}).submit() for n in range(3)]
            others = [sees.submit() for _ in range(3)]
            used = uses.submit()
            assert [future.load() for future in mine] == ["0", "1", "2"]
            assert [future.load() for future in others] == [None, None, None]
            assert used.load() == len(secret)

        run = whole()
        assert "LAZYTRACK_TESTED" not in os.environ
        assert run.get_step("uses").logs == "***\n"

    def test_steps_that_wait_for_each_other_run_together(self, executor: Any, tmp_path: Path) -> None:
        count = self.at_once

        @step
        def meets(n: int, folder: str) -> int:
            Path(folder, str(n)).touch()
            until = time.monotonic() + _PATIENCE_SECONDS
            while len(list(Path(folder).iterdir())) < count:
                assert time.monotonic() < until
                time.sleep(0.01)
            return n

        @pipeline(executor=executor)
        def whole() -> None:
            assert meets.map(list(range(count)), folder=unmapped(folder)).load() == list(range(count))

        folder = str(tmp_path / "met")
        Path(folder).mkdir()
        whole()

    def test_steps_are_not_submitted_from_within_a_step(self, executor: Any) -> None:
        @step
        def inner() -> int:
            return 1

        @step
        def outer() -> int:
            with pytest.raises(RuntimeError, match="a running step"):
                inner.submit()
            return inner() + 1  # type: ignore[no-any-return]

        @pipeline(executor=executor)
        def whole() -> None:
            assert outer.submit().load() == 2

        whole()


class WorkerExecutorTests(ExecutorTests):
    """What is relied on besides where steps run in other processes."""

    survives: bool = True
    """Whether steps can be run after a process has died."""

    def test_steps_run_in_other_processes(self, executor: Any) -> None:
        @step
        def where() -> tuple[int, bool]:
            return os.getpid(), threading.current_thread() is threading.main_thread()

        @pipeline(executor=executor)
        def whole() -> None:
            pid, _ = where.submit().load()
            assert pid != os.getpid()

        whole()

    def test_large_inputs_go_by_their_location(self, executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = []
        pack = Sender.pack

        def packed(sender: Sender, *args: Any) -> Parcel:
            parcel = pack(sender, *args)
            sizes.append(len(parcel.content))
            return parcel

        monkeypatch.setattr(Sender, "pack", packed)

        @step
        def large() -> bytes:
            return bytes(50_000_000)

        @step
        def measures(content: bytes, n: int) -> int:
            return len(content) + n

        @pipeline(executor=executor)
        def whole() -> None:
            lengths = measures.map(content=unmapped(large.submit()), n=[1, 2, 3])
            assert lengths.load() == [50_000_001, 50_000_002, 50_000_003]

        whole()
        assert len(sizes) == 4
        assert max(sizes) < 100_000

    def test_an_exception_that_cannot_be_pickled_arrives_in_words(self, executor: Any) -> None:
        class OddError(Exception):
            def __init__(self, a: int, b: int) -> None:
                super().__init__(f"{a} and {b}")

        class StubbornError(Exception):
            def __reduce__(self) -> Any:
                raise TypeError("not me")

        @step
        def odd(kind: str) -> int:
            if kind == "odd":
                raise OddError(1, 2)
            if kind == "stubborn":
                raise StubbornError("will not go")
            raise RuntimeError(threading.Lock())

        @pipeline(executor=executor)
        def whole() -> None:
            for kind, told in (("odd", "1 and 2"), ("stubborn", "will not go"), ("lock", "lock object")):
                with pytest.raises(StepFailed, match=told) as caught:
                    odd.submit(kind).load()
                assert "Traceback" in str(caught.value)

        whole()

    def test_a_result_that_cannot_be_kept_is_the_failure_of_its_step(self, executor: Any) -> None:
        @step
        def locks() -> object:
            return threading.Lock()

        @step
        def fine() -> int:
            return 1

        @pipeline(executor=executor)
        def whole() -> None:
            with pytest.raises(TypeError, match="pickle"):
                locks.submit().load()
            assert fine.submit().load() == 1

        whole()

    def test_a_step_that_cannot_be_packed_fails_before_it_is_sent(self, executor: Any) -> None:
        lock = threading.Lock()

        @step
        def closes_over() -> int:
            return int(lock.locked())

        @step
        def fine() -> int:
            return 1

        @pipeline(executor=executor)
        def whole() -> None:
            with pytest.raises(TypeError, match="pickle") as caught:
                closes_over.submit().load()
            assert "was packed to run in another process" in caught.value.__notes__[0]
            assert fine.submit().load() == 1

        whole()

    def test_a_process_that_dies_is_a_lost_worker_and_the_others_go_on(self, executor: Any) -> None:
        @step
        def maybe(n: int) -> int:
            if n == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return n

        @pipeline(executor=executor, execution_mode="continue_on_failure")
        def whole() -> None:
            assert maybe.map([0, 1]).load() == [0, 1]
            with pytest.raises(WorkerLost):
                maybe.submit(2).load()
            futures = maybe.map([3, 4, 5])
            if self.survives:
                assert futures.load() == [3, 4, 5]
            else:
                with pytest.raises(WorkerLost, match="takes the executor with it"):
                    futures.wait()

        run = whole()
        assert run.get_step("maybe_3").status == "failed"

    def test_a_worker_that_dies_once_is_made_up_for_by_a_retry(self, executor: Any, tmp_path: Path) -> None:
        @step(retry=StepRetryConfig(max_retries=1))
        def dies_once(flag: str) -> int:
            if not Path(flag).exists():
                Path(flag).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 1

        @pipeline(executor=executor)
        def whole() -> None:
            assert dies_once.submit(str(tmp_path / "flag")).load() == 1

        if self.survives:
            assert whole().get_step("dies_once").status == "completed"
        else:
            with pytest.raises(PipelineRunError, match="takes the executor with it"):
                whole()

    def test_a_project_in_memory_is_refused_before_anything_runs(self, executor: Any) -> None:
        @step
        def fine() -> int:
            return 1

        @pipeline(executor=executor)
        def whole() -> None:
            fine.submit()

        with Project("memory://elsewhere/runs"), pytest.raises(TypeError, match="use a project in a folder"):
            whole()
