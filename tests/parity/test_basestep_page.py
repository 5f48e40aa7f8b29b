"""What the page of the original about its base class of steps shows, as its users write it."""

import logging
from typing import Annotated, Tuple  # noqa: UP035  (as users write it)

import pandas as pd
import pytest
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from lazytrack import (
    ExternalArtifact,
    GroupInfo,
    Project,
    StepRetryConfig,
    get_step_context,
    log_metadata,
    pipeline,
    step,
    unmapped,
)
from lazytrack.errors import PipelineRunError
from lazytrack.post_execution import get_pipeline
from lazytrack.steps import BaseStep

FEATURES = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "b": [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]})
LABELS = pd.Series([0, 0, 0, 1, 1, 1])


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "iris") as project:
        yield project


@step
def training_data_loader() -> Tuple[  # noqa: UP006
    Annotated[pd.DataFrame, "x_train"],
    Annotated[pd.DataFrame, "x_test"],
    Annotated[pd.Series, "y_train"],
    Annotated[pd.Series, "y_test"],
]:
    return FEATURES, FEATURES, LABELS, LABELS


@step(experiment_tracker="mlflow")
def svc_trainer(
    x_train: pd.DataFrame, y_train: pd.Series, gamma: float = 0.001
) -> Tuple[Annotated[ClassifierMixin, "trained_model"], Annotated[float, "training_acc"]]:  # noqa: UP006
    """Train an SVC."""
    model = SVC(gamma=gamma)
    model.fit(x_train, y_train)
    train_acc = model.score(x_train, y_train)
    log_metadata({"gamma": gamma, "classes": [int(each) for each in model.classes_]})
    get_step_context().add_output_metadata({"kernel": model.kernel}, output_name="trained_model")
    return model, float(train_acc)


def test_a_training_step_with_two_outputs_is_given_data_frames():
    @pipeline
    def training_pipeline(gamma: float = 0.002):
        x_train, _x_test, y_train, _y_test = training_data_loader()
        svc_trainer(gamma=gamma, x_train=x_train, y_train=y_train)

    run = training_pipeline()
    trainer = run.get_step("svc_trainer")
    assert list(trainer.inputs) == ["x_train", "y_train"]
    pd.testing.assert_frame_equal(trainer.inputs["x_train"].read(), FEATURES)
    assert trainer.inputs["x_train"].type == "pandas"
    assert trainer.inputs["x_train"].data_type.endswith("DataFrame")
    assert trainer.parameters == {"gamma": 0.002}
    assert trainer.outputs["training_acc"].read() == trainer.outputs["trained_model"].read().score(FEATURES, LABELS)
    assert trainer.metadata["gamma"].value == 0.002
    assert trainer.outputs["trained_model"].metadata["kernel"].value == "rbf"
    assert trainer.inputs["x_train"].metadata["shape"].value == [6, 2]
    assert trainer.experiment_tracker == "mlflow"
    assert trainer.entrypoint_name == "svc_trainer"
    again = training_pipeline()
    assert {made.name: made.is_cached for made in again.steps} == {"training_data_loader": True, "svc_trainer": True}
    assert again.get_step("svc_trainer").metadata["gamma"].value == 0.002
    assert training_pipeline(gamma=0.01).get_step("svc_trainer").status == "completed"


def test_a_class_with_an_entrypoint():
    class Trainer(BaseStep):
        def entrypoint(self, data: dict, model_type: str = "linear") -> Annotated[str, "model"]:
            return f"{model_type} of {sorted(data)}"

    trainer = Trainer(name="my_trainer", enable_cache=True, settings={"resources": {"memory": "2GiB"}})

    @pipeline
    def whole():
        trainer({"a": 1}, model_type="tree")

    made = whole().get_step("my_trainer")
    assert made.output.read() == "tree of ['a']"
    assert made.settings == {"resources": {"memory": "2GiB"}}
    assert made.entrypoint_name == "Trainer"


def test_a_step_with_retry_hooks_and_metadata(caplog):
    attempts = []
    log = logging.getLogger("hooks")

    def on_failure(exception: BaseException):
        log.error("%s failed: %s", get_step_context().step_name, exception)

    def on_success():
        log.info("%s succeeded", get_step_context().step_name)

    @step(
        retry=StepRetryConfig(max_retries=3, delay=0, backoff=2),
        on_failure=on_failure,
        on_success=on_success,
        enable_cache=False,
    )
    def unreliable(fails: int) -> int:
        attempts.append(fails)
        log_metadata({"attempt": len(attempts)})
        if len(attempts) <= fails:
            raise ConnectionError("try again")
        return len(attempts)

    @pipeline
    def whole(fails: int):
        unreliable(fails)

    with caplog.at_level(logging.INFO, logger="hooks"):
        run = whole(2)
        attempts.clear()
        with pytest.raises(PipelineRunError):
            whole(9)
    assert run.get_step("unreliable").output.read() == 3
    assert run.get_step("unreliable").metadata["attempt"].value == 3
    assert len(run.get_step("unreliable").attempts) == 2
    assert [record.message for record in caplog.records if record.name == "hooks"] == [
        "unreliable succeeded",
        "unreliable failed: try again",
    ]


def test_with_options_configures_a_copy_and_configure_the_step_itself():
    @step
    def trainer(rate: float = 0.1) -> float:
        return rate

    fast = trainer.with_options(parameters={"rate": 1.0}, name="fast_trainer", enable_cache=False)
    trainer.configure(extra={"team": "a"})

    @pipeline
    def whole():
        trainer()
        fast()

    for _ in range(2):
        run = whole()
    assert {made.name: made.output.read() for made in run.steps} == {"trainer": 0.1, "fast_trainer": 1.0}
    assert {made.name: str(made.status) for made in run.steps} == {"trainer": "cached", "fast_trainer": "completed"}
    assert run.get_step("trainer").extra == {"team": "a"}
    assert run.get_step("fast_trainer").extra == {}


def test_submit_map_and_product_with_all_their_futures():
    @step
    def numbers() -> list[int]:
        return [1, 2, 3]

    @step
    def scale(x: int, by: int) -> tuple[Annotated[int, "scaled"], Annotated[str, "told"]]:
        return x * by, f"{x} * {by}"

    @step
    def total(values: list[int], start: int = 0) -> int:
        return sum(values, start)

    @pipeline(dynamic=True)
    def whole():
        rows = numbers()
        future = scale.submit(x=2, by=5, id="first")
        assert future.invocation_id == "first"
        assert len(future) == 2
        scaled, told = future
        assert (scaled.load(), told.load()) == future.load() == (10, "2 * 5")
        assert [handle.name for handle in future.result()] == ["scaled", "told"]
        assert future.artifacts()[0].load() == future[0].load() == future.get_artifact("scaled").load() == 10
        assert not future.running()

        mapped = scale.map(rows, by=unmapped(10))
        values, texts = mapped.unpack()
        assert [each.load() for each in values] == [10, 20, 30]
        assert [each.load() for each in texts] == ["1 * 10", "2 * 10", "3 * 10"]
        assert mapped[1].load() == (20, "2 * 10")
        assert [each.load()[0] for each in mapped[:2]] == [10, 20]
        assert len(mapped) == len(mapped.futures) == len(list(mapped)) == 3
        assert total(values).load() == 60
        assert total.submit(values, after=mapped).load() == 60

        crossed = scale.product([1, 2], by=[10, 100])
        assert [each[0] for each in crossed.load()] == [10, 100, 20, 200]
        again = scale.map(x=crossed.unpack()[0], by=[1, 2, 3, 4])
        assert [each[0] for each in again.load()] == [10, 200, 60, 800]
        with pytest.raises(KeyError, match="'scaled', 'told'"):
            future.get_artifact("other")

    run = whole()
    assert run.status == "completed"
    assert run.get_step("scale").group["type"] == "map"
    assert run.get_step("scale").group["id"] == run.get_step("scale_3").group["id"]
    assert run.get_step("first").group is None
    assert run.get_step("scale").inputs["x"].read() == 1
    assert run.get_step("scale").parameters == {"by": 10}
    assert set(run.get_step("total").spec.upstream_steps) == {"scale", "scale_2", "scale_3"}


def test_map_over_what_is_no_list_and_over_lists_of_handles():
    @step
    def make(n: int) -> dict:
        return {"n": n}

    @step
    def look(made: dict, config: dict, name: str) -> str:
        return f"{name} {made['n']} {config['a']}"

    @pipeline
    def whole():
        handles = [make(n) for n in range(3)]
        assert look.map(handles, {"a": 1}, name="x").load() == ["x 0 1", "x 1 1", "x 2 1"]
        assert look.map(make.map([4, 5]), config={"a": 2}, name="abc").load() == ["abc 4 2", "abc 5 2"]
        with pytest.raises(ValueError, match="nothing to map over"):
            look.map({"n": 1}, {"a": 1}, name="abc")

    whole()


def test_changing_one_element_runs_only_its_call():
    ran = []

    @step
    def rows(changed: int) -> list[dict]:
        return [{"n": 1}, {"n": changed}, {"n": 3}]

    @step
    def look(row: dict) -> int:
        ran.append(row["n"])
        return row["n"]

    @pipeline
    def whole(changed: int, own: list[int]):
        look.map(rows(changed))
        look.map([{"n": n} for n in own], after="rows")

    whole(2, [10, 20])
    ran.clear()
    whole(5, [10, 21])
    assert sorted(ran) == [5, 21]


def test_external_artifacts_groups_and_materializers():
    @step(output_materializers={"model": ["text", "pickle"], "rows": "pandas"}, group=GroupInfo(id="g", name="fits"))
    def fit(data: pd.DataFrame) -> tuple[Annotated[LogisticRegression, "model"], Annotated[pd.DataFrame, "rows"]]:
        return LogisticRegression().fit(data, LABELS), data

    @pipeline
    def whole():
        shared = ExternalArtifact(value=FEATURES, materializer="pandas")
        fit(shared)
        fit(data=shared)

    run = whole()
    first = run.get_step("fit")
    assert {name: view.type for name, view in first.outputs.items()} == {"model": "pickle", "rows": "pandas"}
    assert first.group == {"id": "g", "name": "fits", "type": "custom"}
    assert first.input.producer_step_run_id is None
    assert run.get_step("fit_2").is_cached
    assert first.outputs["model"].read().coef_.shape == (1, 2)


def test_views_find_pipelines_by_name_and_by_what_defines_them():
    @step
    def one() -> int:
        return 1

    @pipeline(name="named")
    def whole():
        one()

    assert get_pipeline("named") is None
    run = whole()
    assert get_pipeline("named") == get_pipeline(whole)
    assert get_pipeline(whole).runs == [run]
    assert get_pipeline(whole).get_run_for_completed_step("one") == run
    with pytest.raises(LookupError, match="'two'"):
        get_pipeline(whole).get_run_for_completed_step("two")
