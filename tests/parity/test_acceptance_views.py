"""Items 24 to 26 of the acceptance list: views of what has run, each of their errors, and lineage."""

import inspect
import json
from typing import Annotated, ClassVar

import pytest

from lazytrack import ExternalArtifact, Project, log_metadata, pipeline, step, unmapped
from lazytrack.errors import PipelineRunError
from lazytrack.post_execution import (
    ArtifactNode,
    ArtifactResponseModel,
    ArtifactView,
    BaseNode,
    BaseResponseModel,
    BaseView,
    Edge,
    LineageGraph,
    PipelineResponseModel,
    PipelineRunView,
    PipelineView,
    StepNode,
    StepRunResponseModel,
    StepView,
    get_pipeline,
    get_pipelines,
    get_run,
    get_unlisted_runs,
)


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "churn") as project:
        yield project


@step
def one(n: int = 1) -> int:
    return n


@step(extra={"team": "a"})
def both(a: int, b: int) -> tuple[Annotated[int, "sum"], Annotated[int, "product"]]:
    log_metadata({"unit": "m", "n": 2})
    return a + b, a * b


@pipeline
def whole(n: int = 1) -> None:
    both(one(n), one(n + 1))


@pipeline
def tiny() -> None:
    one()


# --- 24 ---


def test_item_24_of_53_runs_the_newest_50_are_shown_newest_last():
    runs = [tiny.with_options(run_name=f"run {number}")() for number in range(53)]
    view = get_pipeline("tiny")
    assert view.num_runs == 53
    assert [run.name for run in view.runs] == [f"run {number}" for number in range(3, 53)]
    assert view.runs == runs[3:]
    assert view.get_run_for_completed_step("one").name == "run 0"  # all others took it from there
    assert [run.name for run in get_pipeline(tiny).runs] == [run.name for run in view.runs]


def test_item_24_runs_of_steps_alone_are_unlisted_newest_last():
    for number in range(53):
        one.with_options(name=f"alone-{number}")(number)
    assert len(get_unlisted_runs()) == 50
    assert [run.get_step_names() for run in get_unlisted_runs()][-1] == ["alone-52"]
    assert get_pipelines() == []


# --- 25 ---


def test_item_25_a_view_shows_only_its_own_kind_of_model():
    for view, model in ((PipelineView, BaseResponseModel), (StepView, PipelineResponseModel), (ArtifactView, object)):
        with pytest.raises(TypeError, match=view.MODEL_CLASS.__name__):
            view(model(id="1") if model is not object else object())
    with pytest.raises(TypeError, match="abstract"):
        BaseView(BaseResponseModel(id="1"))


def test_item_25_repr_keys_name_what_is_there():
    class Odd(PipelineView):
        REPR_KEYS: ClassVar[list[str]] = ["id", "nothing"]

    with pytest.raises(ValueError, match="nothing"):
        Odd(PipelineResponseModel(id="1", name="a"))
    assert repr(PipelineView(PipelineResponseModel(id="1", name="a"))) == "PipelineView(id='1', name='a')"


def test_item_25_views_are_equal_by_class_and_id_and_hashable():
    model = PipelineResponseModel(id="1", name="a")
    assert PipelineView(model) == PipelineView(PipelineResponseModel(id="1", name="b"))
    assert PipelineView(model) != PipelineView(PipelineResponseModel(id="2", name="a"))
    assert PipelineView(model) != ArtifactView(ArtifactResponseModel(id="1", name="a", uri="u"))
    assert len({PipelineView(model), PipelineView(PipelineResponseModel(id="1", name="b"))}) == 1


def test_item_25_the_models_fields_are_shown_and_own_properties_come_first():
    view = StepView(StepRunResponseModel(id="1", name="a", run="r", project=None, more=7))
    assert view.more == 7
    assert view.name == "a"
    with pytest.raises(AttributeError, match="StepView has no attribute 'nowhere'"):
        view.nowhere  # noqa: B018


def test_item_25_runs_and_pipelines_that_are_not_there(project):
    assert get_pipeline("nowhere") is None
    assert get_pipeline(whole) is None
    assert get_pipelines() == []
    with pytest.raises(KeyError, match="no run 'nowhere'"):
        get_run("nowhere")
    run = whole.with_options(run_name="mine")()
    assert get_run("mine") == run
    with pytest.raises(KeyError):
        get_run("min")
    assert [view.name for view in get_pipelines()] == ["whole"]
    with pytest.raises(LookupError, match="has completed a step 'nowhere'"):
        get_pipeline("whole").get_run_for_completed_step("nowhere")
    with Project(project.fpath) as other:
        other.merge(project)


def test_item_25_several_runs_of_one_name(project, tmp_path):
    whole.with_options(run_name="mine")()
    with Project(tmp_path / "other") as other:
        whole.with_options(run_name="mine")()
    both_projects = project.merge(other)
    both_projects.save()
    with Project(tmp_path / "churn"), pytest.raises(RuntimeError, match="2 runs are called 'mine'"):
        get_run("mine")


def test_item_25_steps_that_are_not_there():
    run = whole()
    with pytest.raises(KeyError, match="no step 'nowhere'; known: 'one', 'one_2', 'both'"):
        run.get_step("nowhere")
    with pytest.raises(RuntimeError, match="needs the name"):
        run.get_step()
    with pytest.warns(DeprecationWarning, match="step="):
        assert run.get_step(name="one") == run.get_step("one")
    with pytest.raises(TypeError, match="no argument 'nam'"):
        run.get_step("one", nam="one")


def test_item_25_an_only_input_or_output():
    run = whole()
    assert run.get_step("one").output.read() == 1
    made = run.get_step("both")
    with pytest.raises(ValueError, match="has 2 outputs, not one: 'sum', 'product'"):
        made.output  # noqa: B018
    with pytest.raises(ValueError, match="has 2 inputs, not one: 'a', 'b'"):
        made.input  # noqa: B018
    with pytest.raises(ValueError, match="has 0 inputs"):
        run.get_step("one").input  # noqa: B018
    assert list(made.outputs) == ["sum", "product"]


def test_item_25_what_is_ignored_when_an_artifact_is_read_warns():
    artifact = whole().get_step("one").output
    with pytest.warns(DeprecationWarning, match="output_data_type is ignored"):
        assert artifact.read(int) == 1
    with pytest.warns(DeprecationWarning, match="materializer_class is ignored"):
        assert artifact.read(materializer_class=object) == 1


# --- 26 ---


def graph_of(run):
    graph = LineageGraph()
    graph.generate_run_nodes_and_edges(run)
    return graph


def edges_of(graph):
    return {(edge.source, edge.target) for edge in graph.edges}


def test_item_26_ids_edges_and_details():
    run = whole()
    graph = graph_of(run)
    step_ids = [f"step_{run.id}/{name}" for name in ("one", "one_2", "both")]
    first, second, total, product = (
        f"artifact_{run.id}/{name}" for name in ("one.output", "one_2.output", "both.sum", "both.product")
    )
    assert {node.id for node in graph.nodes} == {*step_ids, first, second, total, product}
    assert edges_of(graph) == {
        (step_ids[0], first),
        (step_ids[1], second),
        (first, step_ids[2]),
        (second, step_ids[2]),
        (step_ids[2], total),
        (step_ids[2], product),
    }
    assert {edge.id for edge in graph.edges if first in (edge.source, edge.target)} == {
        f"step_{run.id}/one_artifact_{run.id}/one.output",
        f"step_{run.id}/both_artifact_{run.id}/one.output",
    }
    assert graph.root_step_id == step_ids[0]
    nodes = {node.id: node for node in graph.nodes}
    assert {type(node) for node in graph.nodes} == {StepNode, ArtifactNode}
    assert all(isinstance(node, BaseNode) for node in graph.nodes)
    made, artifact = nodes[step_ids[2]], nodes[total]
    assert (made.type, artifact.type) == ("step", "artifact")
    assert made.data.execution_id == run.get_step("both").id
    assert (made.data.name, made.data.status, made.data.entrypoint_name) == ("both", "completed", "both")
    assert made.data.metadata == [("unit", "m", "str"), ("n", "2", "int")]
    assert made.data.configuration == {"extra": {"team": "a"}, "name": "both"}
    assert made.data.inputs == {"a": nodes[first].data.uri, "b": nodes[second].data.uri}
    assert made.data.outputs == {"sum": artifact.data.uri, "product": nodes[product].data.uri}
    assert nodes[step_ids[0]].data.parameters == {"n": 1}
    assert (artifact.data.name, artifact.data.status, artifact.data.is_cached) == ("sum", "completed", False)
    assert (artifact.data.artifact_type, artifact.data.artifact_data_type) == ("json", "builtins.int")
    assert artifact.data.parent_step_id == artifact.data.producer_step_id == run.get_step("both").id


def test_item_26_on_a_hit_the_producer_is_the_original_and_the_parent_the_present_step():
    first, second = whole(), whole()
    node = next(node for node in graph_of(second).nodes if node.id == f"artifact_{second.id}/both.sum")
    assert node.data.is_cached
    assert node.data.status == "cached"
    assert node.data.producer_step_id == first.get_step("both").id
    assert node.data.parent_step_id == second.get_step("both").id


def test_item_26_inputs_that_no_step_of_the_run_made_have_nodes_and_nothing_is_there_twice():
    first = whole()

    @step
    def total(parts: list[int], more: dict) -> int:
        return sum(parts) + len(more)

    @pipeline
    def others() -> None:
        parts = one.map([1, 2])
        total([*parts, parts[0]], ExternalArtifact(value={"a": 1}))

    graph = graph_of(others())
    assert len({node.id for node in graph.nodes}) == len(graph.nodes) == 3 + 3 + 1
    assert len({edge.id for edge in graph.edges}) == len(graph.edges) == 3 + 2 + 1
    external = next(node for node in graph.nodes if node.id.endswith("external"))
    assert external.data.producer_step_id is None
    assert external.data.name == "more"
    assert external.data.parent_step_id.endswith("/total")
    again = graph_of(first)
    again.generate_run_nodes_and_edges(first)
    assert again == graph_of(first)


def test_item_26_failed_and_skipped_steps_are_in_the_graph():
    @step
    def fails(n: int) -> int:
        raise LookupError(n)

    @pipeline(execution_mode="continue_on_failure")
    def bad() -> None:
        one(fails(one()))

    with pytest.raises(PipelineRunError):
        bad.with_options(run_name="bad")()
    graph = graph_of(get_run("bad"))
    assert [(node.data.name, str(node.data.status)) for node in graph.nodes] == [
        ("one", "completed"),
        ("output", "completed"),
        ("fails", "failed"),
        ("one_2", "skipped"),
    ]


def test_item_26_a_graph_of_one_step_has_it_as_root():
    run = whole()
    graph = LineageGraph()
    graph.generate_step_nodes_and_edges(run.get_step("both"))
    assert graph.root_step_id == f"step_{run.id}/both"
    assert len(graph.nodes) == 5


def test_item_26_items_of_a_list_lead_to_the_list():
    @step
    def rows() -> list[int]:
        return [1, 2]

    @pipeline
    def mapped() -> None:
        one.map(rows())

    run = mapped()
    graph = graph_of(run)
    assert {(f"artifact_{run.id}/rows.output", f"step_{run.id}/{name}") for name in ("one", "one_2")} <= edges_of(graph)
    assert len(graph.nodes) == 3 + 3


def test_item_26_its_json_comes_back_as_it_is():
    @pipeline
    def nan() -> None:
        both(one(1), one(2))
        one.with_options(extra={"limit": float("inf")})(3)

    graph = graph_of(nan())
    text = json.dumps(graph.to_json_dict(), allow_nan=False)
    again = LineageGraph.from_json_dict(json.loads(text))
    assert again == graph
    assert again.nodes[-2].data.configuration["extra"] == {"limit": float("inf")}
    assert isinstance(again.edges[0], Edge)
    with pytest.raises(ValueError, match="a node of a lineage graph is of type 'step', 'artifact'"):
        LineageGraph.from_json_dict({"nodes": [{"id": "1", "type": "table"}]})


def test_item_26_the_published_names_have_the_published_arguments():
    assert list(inspect.signature(LineageGraph).parameters) == ["nodes", "edges", "root_step_id", "run_metadata"]
    assert list(inspect.signature(Edge).parameters) == ["id", "source", "target"]
    assert isinstance(whole(), PipelineRunView)
    assert unmapped(1).value == 1
