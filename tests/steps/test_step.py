"""Steps of functions and of classes: what they are, call, show and how they travel."""

import ast
import copy
import functools
import importlib
import linecache
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated

import declared_steps
import pytest

import lazytrack
from lazytrack import steps
from lazytrack.errors import StepInterfaceError
from lazytrack.steps import BaseStep, step

# --- the face ---


def test_the_public_names_are_these():
    assert steps.__all__ == [
        "BaseStep",
        "CachePolicy",
        "ExecutionMode",
        "ExternalArtifact",
        "GroupInfo",
        "MapResultsFuture",
        "OutputArtifact",
        "Pipeline",
        "ResourceSettings",
        "StepConfiguration",
        "StepContext",
        "StepFuture",
        "StepRetryConfig",
        "StepRuntime",
        "current_experiment",
        "get_step_context",
        "log_metadata",
        "pipeline",
        "step",
        "unmapped",
    ]
    assert dir(steps) == steps.__all__
    assert all(callable(getattr(steps, name)) for name in steps.__all__)
    with pytest.raises(AttributeError, match="'stp'"):
        steps.stp  # noqa: B018


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_declaring_and_calling_a_step_loads_nothing_heavy():
    code = """
import sys
from lazytrack.steps import step
@step(parameters={"x": 2})
def double(x: int, y: int | None = None) -> int:
    return 2 * x
assert double.call_entrypoint() == 4
print(*sys.modules)
"""
    assert set(run(code)) & {"pydantic", "fsspec", "numpy", "pandas", "rich", "typer", "slugify", "asyncio"} == set()


def test_running_a_pipeline_loads_what_operators_are_configured_with_only_where_there_are_some(tmp_path):
    code = f"""
import sys
from lazytrack import Project, pipeline, step
@step
def double(x: int) -> int:
    return 2 * x
@pipeline
def whole():
    double(1)
with Project({str(tmp_path / "runs")!r}):
    whole()
import lazytrack.steps.recorded
print(*sys.modules)
"""
    assert set(run(code)) & {"pydantic", "fsspec", "numpy", "distributed"} == set()


def test_importing_the_room_alone_imports_none_of_its_modules():
    code = "import lazytrack.steps, sys; print(*(name for name in sys.modules if name.startswith('lazytrack')))"
    assert run(code) == ["lazytrack", "lazytrack.steps"]


# --- declaring ---


def test_a_step_is_called_as_its_function_or_class_unless_it_is_named():
    assert declared_steps.load.name == "load"
    assert declared_steps.train.name == "fit"
    assert declared_steps.Evaluate().name == "Evaluate"
    assert declared_steps.Evaluate(name="e").name == "e"
    assert declared_steps.train.with_options(name=None).name == "train"
    assert repr(declared_steps.train) == "<step 'fit'>"


def test_a_step_shows_its_function():
    load = declared_steps.load
    assert isinstance(load, BaseStep)
    assert isinstance(load.entrypoint, types.FunctionType)
    assert load.entrypoint() is not None
    assert load.docstring == load.__doc__ == "Load a table."
    assert load.__name__ == "load"
    assert declared_steps.train.docstring is None


def test_a_class_says_what_it_is_or_else_its_entrypoint_does():
    class Quiet(BaseStep):
        def entrypoint(self):
            """Do it."""

    assert declared_steps.Evaluate().docstring == "Evaluates a model."
    assert Quiet().docstring == "Do it."


def test_a_class_without_an_entrypoint_makes_no_step():
    class Nothing(BaseStep):
        pass

    for kind in (Nothing, BaseStep):
        with pytest.raises(TypeError, match=f"abstract class {kind.__name__} .*entrypoint"):
            kind()


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        ("train", r"@step\(name='train'\)"),
        (len, "step 'len' .*define one with def"),
        (functools.partial(print), "define one with def"),
        (declared_steps.Evaluate, "step 'Evaluate' .*subclass of BaseStep"),
        (declared_steps.load, r"step 'load' .*load.with_options"),
        (declared_steps.Evaluate().entrypoint, "step 'entrypoint' .*no function"),
        (3, "a step cannot be made of int 3"),
    ],
)
def test_what_is_no_function_makes_no_step(thing, told):
    with pytest.raises(StepInterfaceError, match=told):
        step(thing)
    with pytest.raises(TypeError, match="step 'mine' cannot be made of"):
        step(name="mine")(thing)


def test_annotations_of_a_local_function_may_name_what_is_beside_it():
    inner, config = declared_steps.local_step()
    assert inner.interface.outputs["output"].annotation is config


def test_the_signature_of_a_class_is_checked_when_the_step_is_made():
    class Bad(BaseStep):
        def entrypoint(self, *args):
            pass

    with pytest.raises(StepInterfaceError, match="step 'Bad' takes \\*args"):
        Bad()


def test_a_function_that_is_wrapped_has_the_interface_of_what_it_wraps():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return 10 * function(*args, **kwargs)

        return wrapper

    @step
    @logged
    def double(x: int) -> int:
        return 2 * x

    assert list(double.interface.inputs) == ["x"]
    assert double.call_entrypoint("1") == 20
    assert double.source_code == "def double(x: int) -> int:\n    return 2 * x\n"


# --- calling ---


def test_calling_takes_configured_parameters_and_defaults():
    table = declared_steps.load.call_entrypoint("4")
    assert declared_steps.train.call_entrypoint(table) == ({"slope": 1.0}, 1.5)
    assert declared_steps.train.call_entrypoint(table=table, slope="2") == ({"slope": 2.0}, 0.0)
    assert declared_steps.Evaluate(scale=3.0).call_entrypoint(1, limit="3") is False


def test_what_an_entrypoint_raises_comes_out_as_it_is():
    @step
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError, match=r"^'x'$"):
        fail.call_entrypoint()


def test_wrong_outputs_are_an_error():
    @step
    def wrong() -> Annotated[int, "n"]:
        return "a"

    with pytest.raises(StepInterfaceError, match="step 'wrong', output 'n': expected int, found str 'a'"):
        wrong.call_entrypoint()


# --- copies ---


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda original: original.with_options()])
@pytest.mark.parametrize("original", [declared_steps.train, declared_steps.Evaluate(scale=2.0)])
def test_a_copy_is_configured_on_its_own(original, copied):
    before = original.configuration
    other = copied(original)
    assert other is not original
    assert type(other) is type(original)
    other.configure(name="other", enable_cache=True)
    assert original.configuration is before
    assert other.entrypoint.__qualname__ == original.entrypoint.__qualname__


# --- source ---

TRAIN = """def train(table: pd.DataFrame, slope: float) -> Tuple[Annotated[dict, "model"], float]:  # noqa: UP006
    return {"slope": slope}, float(abs(table.y - slope * table.x).mean())
"""


def test_the_source_is_without_decorators_however_they_are_spelled():
    assert declared_steps.train.source_code == TRAIN
    assert declared_steps.load.source_code.startswith("def load(rows: int = 3) -> Annotated")
    assert declared_steps.configured_later.source_code == declared_steps.load.source_code


def test_the_source_is_moved_to_the_margin_but_for_text_within():
    inner, _ = declared_steps.local_step()
    assert inner.source_code == (
        "def inner(config: Config) -> Config:\n"
        '    said = """kept\n'
        '    as it is"""\n'
        "\n"
        "    assert said, text\n"
        "    return config\n"
    )
    ast.parse(inner.source_code)


def test_the_source_of_a_class_is_that_of_the_class():
    source = declared_steps.Evaluate().source_code
    assert source.startswith('class Evaluate(BaseStep):\n    """Evaluates')
    assert source.endswith("return self.scale * error < limit\n")
    assert declared_steps.Inherited().source_code == "class Inherited(Evaluate):\n    pass\n"


def test_the_source_of_one_of_two_functions_of_a_name_is_its_own():
    @step
    def twin():
        return 1

    first = twin

    @step
    def twin():
        return 2

    assert "return 1" in first.source_code
    assert "return 2" in twin.source_code


def test_the_source_of_a_lambda_is_its_expression():
    one = step(lambda x: x + 1)
    assert one.source_code == "lambda x: x + 1\n"
    two = [step(lambda: 1), step(lambda: 2)]
    with pytest.raises(OSError, match="several"):
        two[0].source_code  # noqa: B018


CELL = """@step
def cell(x: int = 1) -> int:
    return x
class Cell(BaseStep):
    def entrypoint(self):
        return 1
"""


def executed(name):
    namespace = {"step": step, "BaseStep": BaseStep, "__name__": "__main__"}
    exec(compile(CELL, name, "exec"), namespace)
    return namespace["cell"], namespace["Cell"]


def test_the_source_of_a_notebooks_cell_is_found(monkeypatch):
    name = "/tmp/ipykernel_1/123.py"
    monkeypatch.setitem(linecache.cache, name, (len(CELL), None, CELL.splitlines(keepends=True), name))
    cell, kind = executed(name)
    assert cell.source_code == "def cell(x: int = 1) -> int:\n    return x\n"
    assert kind().source_code == "class Cell(BaseStep):\n    def entrypoint(self):\n        return 1\n"


def test_a_step_without_source_works_and_says_that_there_is_none():
    cell, kind = executed("<string>")
    assert cell.call_entrypoint() == kind().call_entrypoint() == 1
    for made in (cell, kind()):
        with pytest.raises(OSError, match=r"source of [cC]ell cannot be found: there is no text of <string>"):
            made.source_code  # noqa: B018


def test_a_file_that_is_edited_later_does_not_change_the_source_of_what_runs(tmp_path, monkeypatch):
    file = tmp_path / "edited_steps.py"
    text = "from lazytrack.steps import step\n@step\ndef edited():\n    return 1\n"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import edited_steps  # noqa: PLC0415  (it was just written)

    file.write_text("# one line more\n" + text.replace("1", "2"))
    linecache.checkcache()
    assert edited_steps.edited.source_code == "def edited():\n    return 1\n"


def test_a_module_that_is_loaded_again_has_its_new_source(tmp_path, monkeypatch):
    file = tmp_path / "reloaded_steps.py"
    text = "from lazytrack.steps import step\n@step\ndef reloaded():\n    return 1\n"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import reloaded_steps  # noqa: PLC0415  (it was just written)

    file.write_text(text.replace("return 1", "return 1 + 1"))
    importlib.reload(reloaded_steps)
    assert reloaded_steps.reloaded.source_code == "def reloaded():\n    return 1 + 1\n"


def test_a_step_that_is_not_in_its_file_is_told(monkeypatch):
    monkeypatch.setitem(linecache.cache, "other.py", (1, None, ["one = 1\n"], "other.py"))
    with pytest.raises(OSError, match=r"source of cell cannot be found: it is not in other.py, line 1"):
        executed("other.py")[0].source_code  # noqa: B018


def test_a_file_that_is_no_python_is_told(monkeypatch):
    monkeypatch.setitem(linecache.cache, "magic.py", (1, None, ["%magic\n", *CELL.splitlines(keepends=True)], "magic"))
    with pytest.raises(OSError, match=r"magic.py is no Python"):
        executed("magic.py")[0].source_code  # noqa: B018


def test_steps_of_a_program_have_their_source_and_travel(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "from lazytrack.steps import step, BaseStep\n"
        "@step\ndef double(x: int) -> int:\n    return 2 * x\n"
        "class Add(BaseStep):\n    def entrypoint(self, x: int) -> int:\n        return x + 1\n"
        "def called(made):\n    return made.call_entrypoint('3'), made.source_code\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        for made in (double, Add()):\n"
        "            assert pool.apply(called, [made])[1] == made.source_code\n"
        "            print(*pool.apply(called, [made]))\n"
    )
    path = {"PYTHONPATH": str(Path(lazytrack.__file__).parents[1])}
    done = subprocess.run([sys.executable, program], check=True, capture_output=True, text=True, env=os.environ | path)
    assert done.stdout == (
        "6 def double(x: int) -> int:\n    return 2 * x\n\n"
        "4 class Add(BaseStep):\n    def entrypoint(self, x: int) -> int:\n        return x + 1\n\n"
    )


# --- travelling ---


def test_a_step_of_a_module_pickles_by_its_name():
    for name in ("load", "train"):
        made = getattr(declared_steps, name)
        assert pickle.loads(pickle.dumps(made)) is made
        assert len(pickle.dumps(made)) < 150


def test_a_step_that_is_configured_otherwise_keeps_that():
    made = declared_steps.load.with_options(name="other", parameters={"rows": 5}, on_end=print)
    there = pickle.loads(pickle.dumps(made))
    assert there.configuration == made.configuration
    assert there.entrypoint is made.entrypoint
    assert len(there.call_entrypoint()) == 5
    assert declared_steps.load.name == "load"


def test_a_step_of_a_module_that_was_configured_since_keeps_that(monkeypatch):
    load = declared_steps.load
    monkeypatch.setattr(load, "_configuration", load.with_options(enable_cache=False).configuration)
    data = pickle.dumps(load)
    monkeypatch.undo()  # as in another process, where the module was only imported
    assert load.enable_cache is None
    assert pickle.loads(data).enable_cache is False


def test_a_step_of_a_plain_function_pickles_with_the_function():
    there = pickle.loads(pickle.dumps(step(plain, name="p")))
    assert (there.name, there.entrypoint) == ("p", plain)


def plain():
    pass


def test_a_step_of_a_class_keeps_what_it_was_given():
    there = pickle.loads(pickle.dumps(declared_steps.Evaluate(scale=2.0, name="e")))
    assert (there.name, there.scale, list(there.interface.inputs)) == ("e", 2.0, ["error", "limit"])
    assert there.call_entrypoint(1.0) is True


def test_a_local_step_says_what_cannot_be_pickled():
    inner, _ = declared_steps.local_step()
    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(inner)


def test_a_step_that_is_none_where_it_arrives_is_told(monkeypatch):
    data = pickle.dumps(declared_steps.load)
    monkeypatch.setattr(declared_steps, "load", 3)
    with pytest.raises(StepInterfaceError, match="'load' of another process is no step in the module 'declared_steps'"):
        pickle.loads(data)
