"""Lineage across runs: through cached steps, promotions, repositories, and content that is the same."""

import json
import shutil
import xml.etree.ElementTree as ET
from typing import Annotated

import pytest

from lazytrack import ExternalArtifact, Project, Repository, pipeline, step
from lazytrack.post_execution import LineageGraph
from lazytrack.post_execution.tracing import trace


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "churn") as project:
        yield project


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "models")


@step
def load(n: int) -> list[int]:
    return list(range(n))


@step
def fit(rows: list[int]) -> Annotated[dict, "model"]:
    return {"mean": sum(rows) / len(rows), "why": "it is the mean of all of its rows"}


@step
def judge(model: dict) -> Annotated[float, "score"]:
    return model["mean"]


@pipeline
def train(n: int = 4) -> None:
    fit(load(n))


@pipeline
def score(model: dict) -> None:
    judge(ExternalArtifact(value=model))


def ways(graph):
    """Return the edges of a graph by what its nodes are called."""
    names = {}
    for node in graph.nodes:
        run = str(node.data.execution_id).partition("/")[0].rpartition("-")[0].rpartition("-")[0]
        match node.type:
            case "step":
                names[node.id] = f"{run}/{node.data.name}"
            case "artifact":
                names[node.id] = f"{run}/{node.data.execution_id.partition('/')[2]}"
            case "version":
                names[node.id] = node.data.execution_id
            case _:
                names[node.id] = node.data.name
    return {(names[edge.source], names[edge.target]) for edge in graph.edges}


@pytest.fixture
def story(project, repository):
    """Train twice, promote the model, score with it in a third run, and once more with what the second run took."""
    first = train.with_options(run_name="first")()
    second = train.with_options(run_name="second")()
    project[first.id].promote_artifact(repository, "fit.model")
    repository.set_alias("fit.model", "champion", 0)
    repository.save()
    third = score.with_options(run_name="third")(repository.load_artifact("fit.model", version="champion"))
    return first, second, third


ALL = {
    ("first/load", "first/load.output"),
    ("first/load.output", "first/fit"),
    ("first/fit", "first/fit.model"),
    ("first/load", "second/load"),
    ("first/fit", "second/fit"),
    ("second/load", "second/load.output"),
    ("second/load.output", "second/fit"),
    ("second/fit", "second/fit.model"),
    ("first/fit.model", "fit.model:v0"),
    ("fit.model:v0", "third/external"),
    ("third/external", "third/judge"),
    ("third/judge", "third/judge.score"),
}


def test_three_runs_a_repository_and_a_promotion(project, repository, story):
    first, second, third = story
    graph = trace(project, first.id, repositories=[repository])
    assert ways(graph) == ALL
    assert graph.root_step_id == f"step_{first.id}/load"
    version = next(node for node in graph.nodes if node.type == "version")
    assert (version.data.version, version.data.aliases, version.data.name) == (0, ["champion"], "fit.model")
    assert ways(trace(project, third.id, repositories=[repository])) == {
        edge for edge in ALL if not any(name.startswith("second/") for name in edge)
    }
    assert ways(trace(project, [first.id, second.id])) == {
        e for e in ALL if "third" not in str(e) and ":v0" not in str(e)
    }


def test_what_an_artifact_comes_of_and_what_comes_of_it(project, repository, story):
    first, _, third = story
    of_the_score = trace(project, f"{third.id}/judge.score", repositories=[repository])
    assert ("first/load", "first/load.output") in ways(of_the_score)
    for what in ("fit.model:champion", "fit.model:v0", "fit.model"):
        assert ways(trace(project, what, down=0, repositories=[repository])) == {
            ("first/load", "first/load.output"),
            ("first/load.output", "first/fit"),
            ("first/fit", "first/fit.model"),
            ("first/fit.model", "fit.model:v0"),
        }
    used_by = trace(project, f"{first.id}/fit.model", up=0, repositories=[repository])
    assert ways(used_by) == {
        ("first/fit.model", "fit.model:v0"),
        ("fit.model:v0", "third/external"),
        ("third/external", "third/judge"),
        ("third/judge", "third/judge.score"),
    }


def test_depth_counts_steps_and_promotions(project, repository, story):
    first, _, third = story
    assert ways(trace(project, f"{third.id}/judge", up=1, down=0, repositories=[repository])) == {
        ("third/external", "third/judge"),
        ("fit.model:v0", "third/external"),
        ("first/fit.model", "fit.model:v0"),
    }
    assert trace(project, f"{third.id}/judge", up=0, down=0).edges == []
    assert ways(trace(project, f"{first.id}/load", up=0, down=1)) == {
        ("first/load", "first/load.output"),
        ("first/load", "second/load"),
        ("second/load", "second/load.output"),
        ("first/load.output", "first/fit"),
        ("first/fit", "first/fit.model"),
    }


def test_experiments_without_steps_are_nodes(project, repository):
    with project.log("baseline") as baseline:
        baseline.log_artifact("model", {"weights": [1, 2, 3], "of": "an experiment without steps"}, "json")
    with project.log("next") as following:
        following.dependencies["baseline"] = baseline
        following.log_artifact("report", "it went well, as far as one can tell", "text")
    project.save()
    baseline.promote_artifact(repository, "model")
    graph = trace(project, "baseline", repositories=[repository])
    assert ways(graph) == {
        ("baseline", "baseline/model"),
        ("baseline/model", "model:v0"),
        ("baseline", "next"),
        ("next", "next/report"),
    }
    assert {node.type for node in graph.nodes} == {"experiment", "artifact", "version"}


def test_small_content_that_is_the_same_by_chance_links_nothing(project, repository):
    repository.log_artifact("n", 1, "json")
    repository.save()
    run = score.with_options(run_name="third")({"mean": 1})
    assert all(node.type != "version" for node in trace(project, run.id, repositories=[repository]).nodes)


def test_what_is_not_there(project, repository, story):
    for what in ("nowhere", f"{story[0].id}/nowhere", "fit.model:v9"):
        with pytest.raises((KeyError, LookupError)):
            trace(project, what, repositories=[repository])
    with pytest.raises(KeyError, match="there is no 'nowhere'"):
        trace(project, "nowhere")


def test_records_that_make_no_sense_hide_nothing(project, story):
    first = story[0]
    odd = {"status": "completed", "inputs": {"a": 3, "b": [None]}, "outputs": {"c": 1}, "original": 7, "number": "x"}
    project._journal.append([{"record": first.id, "set": {"steps.odd": odd}}], by="somebody")
    assert ("first/load", "first/load.output") in ways(trace(project, first.id))


# --- drawings ---


def test_a_graph_is_drawn_in_each_way(project, repository, story, tmp_path):
    graph = trace(project, story[0].id, repositories=[repository])
    mermaid = graph.to_mermaid()
    assert mermaid.startswith("flowchart TD\n")
    assert mermaid.count(" --> ") == len(graph.edges)
    assert ":::cached" in mermaid
    dot = graph.to_dot()
    assert dot.count(" -> ") == len(graph.edges)
    for picture in (graph.to_svg(graphviz=False), graph._repr_html_()):
        root = ET.fromstring(picture)
        texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
        assert texts.count("fit") == 2
        assert "champion" in texts
        paths = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("marker-end")]
        assert len(paths) == len(graph.edges)
    assert graph.to_text().splitlines()[0] == f"load  {story[0].id}, completed"
    again = LineageGraph.from_json_dict(json.loads(json.dumps(graph.to_json_dict())))
    assert again.to_svg(graphviz=False) == graph.to_svg(graphviz=False)


@pytest.mark.parametrize(
    "name", ['a "quoted" <b>&amp;</b>', "back\\slash", "new\nline", "größe 🚀", "x" * 100, "%% {} ()[]"]
)
def test_odd_names_are_drawn(project, name):
    @pipeline
    def odd() -> None:
        load(3, id=name)

    graph = trace(project, odd.with_options(run_name="odd")().id)
    ET.fromstring(graph.to_svg(graphviz=False))
    assert graph.to_mermaid().count("\n") == 1 + len(graph.nodes) + len(graph.edges) + 2
    assert graph.to_dot().count("\n") == 2 + 1 + len(graph.nodes) + len(graph.edges)
    assert graph.to_text()
    if shutil.which("dot"):
        ET.fromstring(graph.to_svg(graphviz=True).partition("<svg")[1] + graph.to_svg().partition("<svg")[2])


def test_graphviz_is_asked_for_only_where_it_is(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert LineageGraph().to_svg().startswith("<svg")
    with pytest.raises(FileNotFoundError, match="install Graphviz"):
        LineageGraph().to_svg(graphviz=True)


def test_graphviz_draws_where_it_is(monkeypatch, tmp_path, story, project):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho '<svg drawn=\"by dot\"/>'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert trace(project, story[0].id).to_svg() == '<svg drawn="by dot"/>\n'
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="broken"):
        trace(project, story[0].id).to_svg()


def test_a_long_chain_is_drawn(project):
    graph = LineageGraph()
    from lazytrack.post_execution import Edge  # noqa: PLC0415
    from lazytrack.post_execution.lineage import ExperimentNode, ExperimentNodeDetails  # noqa: PLC0415

    for n in range(3000):
        details = ExperimentNodeDetails(execution_id=f"e{n}", name=f"e{n}", status="completed")
        graph.add_node(ExperimentNode(id=f"e{n}", data=details))
        if n:
            graph.connect(f"e{n - 1}", f"e{n}")
    assert isinstance(graph.edges[0], Edge)
    assert graph.to_text().count("\n") == 3000
    assert graph.to_svg(graphviz=False).count("<rect") == 3000
