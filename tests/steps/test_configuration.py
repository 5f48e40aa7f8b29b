"""The options of steps: what they may be, and how they are merged."""

import copy
import functools
import math
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazytrack.artifacts import JSONArtifact, PickleArtifact
from lazytrack.errors import StepInterfaceError
from lazytrack.steps import (
    CachePolicy,
    GroupInfo,
    ResourceSettings,
    StepConfiguration,
    StepRetryConfig,
    StepRuntime,
    step,
)
from lazytrack.steps.configuration import OPTIONS, UNSET, merged
from lazytrack.steps.hooks import call_hook

PUBLISHED = """
name enable_cache enable_artifact_metadata enable_artifact_visualization enable_step_logs experiment_tracker
step_operator parameters output_materializers environment secrets settings extra on_failure on_success on_start on_end
model retry cache_policy runtime heartbeat_healthy_threshold group substitutions
""".split()  # noqa: SIM905  (as it is published)


@step
def train(data, lr: float = 0.1) -> tuple[Annotated[int, "model"], int]:
    return data, lr


def configured(**options):
    return train.with_options(**options).configuration


# --- options ---


def test_every_published_option_is_an_attribute_and_none_at_first():
    assert sorted(OPTIONS) == sorted(PUBLISHED)
    assert all(getattr(train.configuration, name) is None for name in PUBLISHED)
    assert train.configuration == StepConfiguration()


@pytest.mark.parametrize(
    ("option", "value", "held"),
    [
        ("name", "other", "other"),
        ("enable_cache", False, False),
        ("enable_artifact_metadata", True, True),
        ("enable_artifact_visualization", True, True),
        ("enable_step_logs", False, False),
        ("experiment_tracker", "mine", "mine"),
        ("step_operator", True, True),
        ("step_operator", "cluster", "cluster"),
        ("parameters", {"lr": "0.5"}, {"lr": "0.5"}),
        ("output_materializers", "json", {"model": ["json"], "output_1": ["json"]}),
        ("output_materializers", JSONArtifact, {"model": [JSONArtifact], "output_1": [JSONArtifact]}),
        ("output_materializers", {"model": ["numpy", PickleArtifact]}, {"model": ["numpy", PickleArtifact]}),
        ("environment", {"N": 1, "F": 0.5, "B": True}, {"N": "1", "F": "0.5", "B": "True"}),
        ("secrets", ["a", uuid.UUID(int=1), "a"], ["a", "00000000-0000-0000-0000-000000000001"]),
        ("secrets", ("a",), ["a"]),
        ("settings", {"resources": ResourceSettings(cpu_count=2)}, {"resources": {"cpu_count": 2}}),
        (
            "settings",
            {"resources": {"memory": "2GiB"}, "x": {"y": 1}},
            {"resources": {"memory": "2GiB"}, "x": {"y": 1}},
        ),
        ("extra", {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}),
        ("on_failure", "os.path.basename", "os.path.basename"),
        ("on_success", "collections.OrderedDict.fromkeys", "collections.OrderedDict.fromkeys"),
        ("on_start", print, print),
        ("model", ("anything",), ("anything",)),
        ("retry", StepRetryConfig(3, 1, 2), StepRetryConfig(max_retries=3, delay=1, backoff=2)),
        ("cache_policy", "default", CachePolicy()),
        ("cache_policy", CachePolicy(ignored_inputs=["lr"]), CachePolicy(ignored_inputs=["lr"])),
        ("runtime", "isolated", StepRuntime.ISOLATED),
        ("runtime", StepRuntime.INLINE, "inline"),
        ("heartbeat_healthy_threshold", 10, 10),
        ("heartbeat_healthy_threshold", 60, 60),
        ("group", "g", GroupInfo(id="g", name="g", type="custom")),
        ("group", GroupInfo("1", "g", "map"), GroupInfo("1", "g", "map")),
        ("substitutions", {"a": "b"}, {"a": "b"}),
    ],
)
def test_an_option_is_held_in_one_form(option, value, held):
    assert getattr(configured(**{option: value}), option) == held


@pytest.mark.parametrize(
    ("option", "value", "error", "told"),
    [
        ("name", " ", TypeError, "name must be text"),
        ("enable_cache", 1, TypeError, "enable_cache must be True or False, not 1"),
        ("experiment_tracker", 1, TypeError, "experiment_tracker must be the name of one, True or False"),
        ("step_operator", "", TypeError, "step_operator must be the name"),
        ("parameters", {"lrr": 1}, StepInterfaceError, "no parameter 'lrr': did you mean 'lr'\\? known: data, lr"),
        ("parameters", [("lr", 1)], TypeError, "parameters must be a dict"),
        ("output_materializers", "jsn", ValueError, "no handler 'jsn'; known: .*json"),
        ("output_materializers", {"modl": "json"}, StepInterfaceError, "no output 'modl': did you mean 'model'"),
        ("output_materializers", int, TypeError, "aliases or classes of handlers"),
        ("output_materializers", [], ValueError, "at least one"),
        ("environment", {"A": None}, ValueError, "'A' is None"),
        ("environment", {"A=B": "c"}, ValueError, "cannot hold a variable 'A=B'"),
        ("environment", {"A": "\0"}, ValueError, "cannot hold"),
        ("environment", {1: "a"}, TypeError, "names as keys"),
        ("secrets", "token", TypeError, "list of names, not 'token'"),
        ("secrets", {"token"}, TypeError, "list of names"),
        ("secrets", [1], TypeError, "each of secrets must be text"),
        ("settings", {"resources": {"cpu_count": 0}}, ValueError, r"settings\['resources'\]: cpu_count .* above 0"),
        ("settings", {"resources": {"cpus": 1}}, StepInterfaceError, "'cpus'.*known: cpu_count, gpu_count, memory"),
        ("settings", {"resources": 3}, TypeError, "must be a dict"),
        ("settings", {"x": object()}, TypeError, "settings cannot be held as JSON"),
        ("extra", {"x": object()}, TypeError, "extra cannot be held as JSON"),
        ("on_failure", lambda a, b: None, TypeError, r"on_failure must take no argument or one, not \(a, b\)"),
        ("on_success", lambda *, a: None, TypeError, "on_success must take"),
        ("on_start", "os.path.nothing", ValueError, "on_start is to be found at 'os.path.nothing', where nothing is"),
        ("on_start", "no_such_package.hook", ValueError, "where nothing is"),
        ("on_start", "hook", ValueError, "where nothing is"),
        ("on_start", "..", ValueError, "where nothing is"),
        ("on_start", "os.name", TypeError, "must be a function"),
        ("on_end", 3, TypeError, "must be a function"),
        ("on_end", min, TypeError, "does not say which arguments it takes"),
        ("retry", 3, TypeError, r"StepRetryConfig\(max_retries=3\)"),
        ("cache_policy", "always", ValueError, "must be a CachePolicy or 'default', not 'always'"),
        ("runtime", "remote", ValueError, "'inline' or 'isolated', not 'remote'"),
        ("heartbeat_healthy_threshold", 9, ValueError, "10 to 60 whole minutes, not 9"),
        ("heartbeat_healthy_threshold", 61, ValueError, "10 to 60"),
        ("heartbeat_healthy_threshold", True, ValueError, "10 to 60"),
        ("group", 3, TypeError, "group must be text"),
        ("substitutions", {"a": 1}, TypeError, "'a' must be text"),
        ("retries", 3, StepInterfaceError, "no option 'retries': did you mean 'retry'"),
    ],
)
def test_an_option_that_cannot_be_is_refused_at_once_with_the_steps_name(option, value, error, told):
    before = train.configuration
    for refuse in (train.configure, train.with_options, step(train.entrypoint, name="train").configure):
        with pytest.raises(error, match=rf"(?s)^step 'train'.*{told}"):
            refuse(**{option: value})
    with pytest.raises(error, match=rf"(?s)^step 'train'.*{told}"):
        step(**{option: value})(train.entrypoint)
    assert train.configuration is before


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cpu_count": -1}, "cpu_count must be a number above 0"),
        ({"cpu_count": math.inf}, "cpu_count"),
        ({"cpu_count": True}, "cpu_count"),
        ({"gpu_count": -1}, "gpu_count must be a whole number, 0 or more"),
        ({"gpu_count": 0.5}, "gpu_count"),
        ({"memory": "2 gigs"}, "memory must be such as '2GiB'"),
        ({"memory": 2}, "memory"),
    ],
)
def test_resources_that_no_machine_has_are_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        ResourceSettings(**fields)


def test_memory_is_counted_in_bytes():
    sizes = {"2GiB": 2 * 2**30, "500MB": 500_000_000, "1 KB": 1000, "3TiB": 3 * 2**40, "1PB": 10**15}
    assert {memory: ResourceSettings(memory=memory).memory_bytes for memory in sizes} == sizes
    assert ResourceSettings().memory_bytes is None


def test_resources_are_given_back_as_such():
    assert configured().resources is None
    assert configured(settings={"resources": {"gpu_count": 0}}).resources == ResourceSettings(gpu_count=0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((-1,), ValueError),
        ((1.5,), TypeError),
        ((1, -1), ValueError),
        ((1, math.nan), ValueError),
        ((1, 1, "2"), TypeError),
    ],
)
def test_a_retry_that_cannot_be_is_refused(arguments, error):
    with pytest.raises(error, match="must be"):
        StepRetryConfig(*arguments)


def test_a_step_is_retried_once_and_at_once_unless_more_is_said():
    assert StepRetryConfig() == StepRetryConfig(max_retries=1, delay=0, backoff=1)


def test_a_policy_includes_everything_unless_less_is_said():
    policy = CachePolicy()
    flags = (policy.include_step_code, policy.include_step_parameters)
    assert (*flags, policy.include_artifact_values, policy.include_artifact_ids) == (True, True, True, True)
    assert policy.ignored_inputs is policy.file_dependencies is policy.source_dependencies is None
    assert policy.cache_func is policy.expires_after is policy.lifetime is None


def test_a_policy_takes_paths_functions_and_spans_of_time():
    policy = CachePolicy(file_dependencies=[Path("a/b")], source_dependencies=[len, "os.path"], cache_func="os.getcwd")
    assert policy.file_dependencies == [str(Path("a/b"))]
    assert policy.source_dependencies == [len, "os.path"]
    assert CachePolicy(expires_after=60).lifetime == CachePolicy(expires_after=timedelta(minutes=1)).lifetime


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"include_step_code": None}, TypeError),
        ({"ignored_inputs": "lr"}, TypeError),
        ({"file_dependencies": 1}, TypeError),
        ({"source_dependencies": "os"}, TypeError),
        ({"cache_func": 1}, TypeError),
        ({"cache_func": "os.nothing"}, ValueError),
        ({"expires_after": 0}, ValueError),
        ({"expires_after": timedelta(seconds=-1)}, ValueError),
        ({"expires_after": math.inf}, ValueError),
        ({"expires_after": "1d"}, TypeError),
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields, error):
    with pytest.raises(error):
        CachePolicy(**fields)


def test_hooks_are_called_with_the_argument_they_take():
    assert call_hook(lambda: "none", 1, "on_end") == "none"
    assert call_hook(lambda error: error, 1, "on_end") == 1
    assert call_hook(lambda error=None: error, 1, "on_end") == 1
    assert call_hook("os.path.basename", "a/b", "on_end") == "b"


def test_an_import_that_fails_in_a_hooks_module_is_told(tmp_path, monkeypatch):
    (tmp_path / "hooks_of_a_test.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        train.with_options(on_end="hooks_of_a_test.alert")


# --- merging ---


def test_dicts_are_merged_at_any_depth_and_secrets_are_added_once():
    first = train.with_options(
        settings={"resources": ResourceSettings(cpu_count=2, gpu_count=1), "x": {"y": {"a": 1}}},
        secrets=["a", "b"],
        environment={"A": 1},
        output_materializers="json",
    )
    second = first.with_options(
        settings={"resources": ResourceSettings(cpu_count=4), "x": {"y": {"b": 2}}},
        secrets=["b", "c"],
        environment={"B": 2},
        output_materializers={"model": "pickle"},
    ).configuration
    assert second.settings == {"resources": {"cpu_count": 4, "gpu_count": 1}, "x": {"y": {"a": 1, "b": 2}}}
    assert second.secrets == ["a", "b", "c"]
    assert first.with_options(secrets=[]).configuration.secrets == ["a", "b"]
    assert second.environment == {"A": "1", "B": "2"}
    assert second.output_materializers == {"model": ["pickle"], "output_1": ["json"]}


def test_without_merging_an_option_is_replaced_and_the_others_stay():
    first = train.with_options(extra={"a": 1}, secrets=["a"], environment={"A": 1})
    second = first.with_options(extra={"b": 2}, secrets=["b"], merge=False).configuration
    assert (second.extra, second.secrets, second.environment) == ({"b": 2}, ["b"], {"A": "1"})


@pytest.mark.parametrize("merge", [True, False])
def test_what_is_left_out_stays_and_none_resets(merge):
    first = train.with_options(enable_cache=False, extra={"a": 1}, secrets=["a"], retry=StepRetryConfig())
    assert first.with_options(merge=merge, enable_cache=UNSET).configuration == first.configuration
    second = first.with_options(merge=merge, enable_cache=None, extra=None, secrets=None)
    assert second.configuration == StepConfiguration(retry=StepRetryConfig())


def test_what_is_given_may_be_changed_afterwards():
    extra = {"a": {"b": [1]}}
    one = train.with_options(extra=extra)
    extra["a"]["b"].append(2)
    other = one.with_options(extra={"c": 3})
    other.configuration.extra["a"]["b"].append(4)
    assert one.configuration.extra == {"a": {"b": [1]}}


def test_the_steps_options_come_before_defaults():
    defaults = StepConfiguration(enable_cache=False, extra={"a": 1, "b": 1}, secrets=["x"], retry=StepRetryConfig(2))
    mine = StepConfiguration(enable_cache=True, extra={"b": 2}, secrets=["y"])
    assert mine.over(defaults) == StepConfiguration(
        enable_cache=True, extra={"a": 1, "b": 2}, secrets=["x", "y"], retry=StepRetryConfig(2)
    )
    assert StepConfiguration().over(defaults) == defaults


# A key has either values or dicts: what is a dict here and a value there can only be replaced.
TREES = st.recursive(
    st.just({}),
    lambda below: st.dictionaries(st.sampled_from(["v", "w"]), st.integers() | st.lists(st.integers())).flatmap(
        lambda leaves: st.dictionaries(st.sampled_from(["x", "y"]), below).map(lambda dicts: leaves | dicts)
    ),
    max_leaves=8,
)
CONFIGURATIONS = st.builds(
    StepConfiguration,
    enable_cache=st.none() | st.booleans(),
    extra=st.none() | TREES,
    settings=st.none() | TREES,
    secrets=st.none() | st.lists(st.sampled_from("abcd"), unique=True),
    retry=st.none() | st.builds(StepRetryConfig, st.integers(0, 3)),
)


@given(CONFIGURATIONS, CONFIGURATIONS, CONFIGURATIONS)
def test_merging_is_associative_repeats_harmlessly_and_changes_nothing_it_is_given(a, b, c):
    before = copy.deepcopy((a, b, c))
    assert c.over(b).over(a) == c.over(b.over(a))
    assert a.over(a) == a
    assert StepConfiguration().over(a) == a == a.over(StepConfiguration())
    assert (a, b, c) == before


@given(st.lists(TREES, min_size=1))
def test_of_merged_dicts_the_last_that_has_a_key_says_its_value(trees):
    def paths(tree, start=()):
        for key, value in tree.items():
            yield from paths(value, (*start, key)) if isinstance(value, dict) else [((*start, key), value)]

    said = {path: value for tree in trees for path, value in paths(tree)}
    assert dict(paths(functools.reduce(merged, trees))) == said
