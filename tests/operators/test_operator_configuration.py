"""How operators are set up: configurations, references to secrets, and the arguments of the command."""

import inspect
import json
import pickle
import warnings
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from lazytrack.errors import WorkerLost
from lazytrack.step_operators import (
    BaseStepOperator,
    BaseStepOperatorConfig,
    BaseStepOperatorFlavor,
    JobStepOperator,
    StepOperatorEntrypointConfiguration,
)

PASSWORD = "correct horse"


class Config(BaseStepOperatorConfig):
    url: str = "http://here"
    token: SecretStr = SecretStr("")
    tries: int = 3


class Operator(BaseStepOperator):
    flavor_name = "plain"

    def launch(self, info, entrypoint_command, environment):
        raise WorkerLost("not me")


# --- configurations ---


def test_a_configuration_cannot_be_changed_and_takes_what_it_knows_alone():
    config = Config(url="http://there", token=PASSWORD)
    with pytest.raises(ValidationError, match="frozen"):
        config.url = "http://elsewhere"
    with pytest.raises(ValidationError, match="frozen"):
        config.token = PASSWORD
    with pytest.raises(ValueError, match="no_such"):
        Config(no_such=1)
    with pytest.raises(ValueError, match="tries"):
        Config(tries="many")
    assert config.url == "http://there"
    assert BaseStepOperatorConfig.model_fields == {}
    assert Config() == Config()
    assert hash(Config()) == hash(Config())


def test_no_text_of_a_configuration_shows_a_secret():
    config = Config(token=PASSWORD)
    assert config.token.get_secret_value() == PASSWORD
    texts = [repr(config), str(config), f"{config}", repr(config.model_dump()), config.model_dump_json()]
    texts += [repr(Operator("x", config=config)), repr(vars(config)), repr([config])]
    for wrong in ({"token": [PASSWORD]}, {"passwort": PASSWORD}, {"tries": PASSWORD}):
        with pytest.raises(ValueError, match=r"token|passwort|tries") as caught:
            Config(**wrong)
        texts.append(str(caught.value))
    assert [text for text in texts if PASSWORD in text] == []
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_secret_in_plain_text_is_warned_of_where_that_is_wanted():
    with pytest.warns(UserWarning, match=r"Config: token is a secret, given as it is") as told:
        Config(warn_about_plain_text_secrets=True, token=PASSWORD, url="http://plain")
    assert len(told) == 1
    assert PASSWORD not in str(told[0].message)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config(token=PASSWORD)
        Config(warn_about_plain_text_secrets=False, token=PASSWORD)
        Config(warn_about_plain_text_secrets=True, token="{{vault.token}}")
        Config(True)


def test_settings_of_a_step_go_over_a_configuration():
    config = Config(url="http://here", token=PASSWORD)
    assert config.over({}) is config
    over = config.over({"tries": 5})
    assert (over.tries, over.url, over.token.get_secret_value()) == (5, "http://here", PASSWORD)
    assert config.tries == 3
    with pytest.raises(ValueError, match="no_such"):
        config.over({"no_such": 1})


# --- references ---


@pytest.fixture
def secrets_file(tmp_path, monkeypatch):
    def write(content):
        file = tmp_path / "secrets.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        monkeypatch.setenv("LAZYTRACK_SECRETS_FILE", str(file))
        return file

    return write


def test_references_are_looked_up_when_they_are_read(monkeypatch, secrets_file):
    config = Config(url="{{cluster.url}}", token="{{ cluster.api-token }}")
    monkeypatch.setenv("CLUSTER_URL", "http://first")
    monkeypatch.setenv("CLUSTER_API_TOKEN", "from the environment")
    assert (config.url, config.token.get_secret_value()) == ("http://first", "from the environment")
    monkeypatch.setenv("CLUSTER_URL", "http://second")
    assert config.url == "http://second"
    secrets_file({"cluster": {"api-token": "from the file"}})
    assert (config.url, config.token.get_secret_value()) == ("http://second", "from the file")
    assert config.over({"tries": 1}).token.get_secret_value() == "from the file"
    for text in (repr(config), str(config.model_dump()), config.model_dump_json()):
        assert "http://second" not in text
        assert "from the file" not in text
    assert config.model_dump()["url"] == "{{cluster.url}}"


def test_a_reference_without_a_key_is_a_text_by_itself(monkeypatch, secrets_file):
    config = Config(token="{{TOKEN}}")
    monkeypatch.setenv("TOKEN", "from the environment")
    assert config.token.get_secret_value() == "from the environment"
    secrets_file({"TOKEN": "from the file"})
    assert config.token.get_secret_value() == "from the file"
    assert Config(url="a {{TOKEN}}").url == "a {{TOKEN}}"


def test_a_reference_to_nothing_says_where_to_put_it(monkeypatch, secrets_file):
    monkeypatch.delenv("VAULT_KEY", raising=False)
    config = Config(token="{{vault.key}}")
    with pytest.raises(LookupError, match=r"there is no secret \{\{vault.key\}\}: put it into .* variable VAULT_KEY"):
        config.token  # noqa: B018
    file = secrets_file({"vault": {"other": PASSWORD}})
    with pytest.raises(LookupError, match="VAULT_KEY") as caught:
        config.token  # noqa: B018
    assert PASSWORD not in str(caught.value)
    for content, why in ((f"{{{PASSWORD}", "it is no JSON"), ([PASSWORD], "holds no JSON object")):
        secrets_file(content)
        with pytest.raises(LookupError, match=why) as caught:
            config.token  # noqa: B018
        assert PASSWORD not in str(caught.value)
    file.unlink()
    with pytest.raises(LookupError, match="cannot be read: No such file"):
        config.token  # noqa: B018


# --- operators and flavors ---


def test_an_operator_takes_what_those_of_other_frameworks_take_in_their_order():
    names = list(inspect.signature(BaseStepOperator.__init__).parameters)
    assert names == [
        "self",
        "name",
        "id",
        "config",
        "flavor",
        "type",
        "user",
        "workspace",
        "created",
        "updated",
        "labels",
        "connector_requirements",
        "connector",
        "connector_resource_id",
        "args",
        "kwargs",
    ]
    config, now = Config(), datetime(2026, 11, 20, tzinfo=UTC)
    given = (
        "gpu",
        "id-1",
        config,
        "k8s",
        "step_operator",
        "dana",
        "lab",
        now,
        now,
        {"a": 1},
        "needs",
        "connector",
        "r",
    )
    operator = Operator(*given, "more", further=True)
    kept = [getattr(operator, name) for name in names[1:14]]
    assert kept == list(given)
    assert (operator.args, operator.kwargs) == (("more",), {"further": True})


def test_all_but_name_and_configuration_have_defaults():
    first, second = Operator("a", config=Config()), Operator(name="b", config=Config())
    assert (first.flavor, first.type, first.user, first.labels) == ("plain", "step_operator", None, None)
    assert first.id != second.id
    assert first.created == first.updated
    assert first.created.tzinfo is not None
    assert first.entrypoint_config_class is StepOperatorEntrypointConfiguration
    assert repr(first) == "<step operator 'a'>"
    for wrong in (None, {"url": "x"}, Config):
        with pytest.raises(TypeError, match="step operator 'a': config must be a BaseStepOperatorConfig"):
            Operator("a", config=wrong)
    with pytest.raises(TypeError):
        Operator(config=Config())


def test_an_operator_that_does_not_say_how_it_launches_is_none():
    with pytest.raises(TypeError, match="launch"):
        type("Half", (BaseStepOperator,), {})("half", config=Config())
    with pytest.raises(TypeError, match="cancel"):
        type("Half", (JobStepOperator,), {"submit": None, "status": None})("half", config=Config())


def test_a_flavor_says_what_its_operators_are():
    class Flavor(BaseStepOperatorFlavor):
        name = "plain"
        implementation_class = Operator

    flavor = Flavor()
    assert (flavor.name, flavor.type, flavor.config_class) == ("plain", "step_operator", BaseStepOperatorConfig)
    assert flavor.implementation_class is Operator
    with pytest.raises(TypeError, match="implementation_class"):
        type("Half", (BaseStepOperatorFlavor,), {"name": "half"})()


# --- the command ---

GIVEN = {
    "project": "/a folder/runs",
    "run": "whole-1",
    "step": "fit_2",
    "step_run_id": "fit-0",
    "source": "shop.steps:fit",
}


def test_the_arguments_of_the_command_come_back_as_they_were():
    kind = StepOperatorEntrypointConfiguration
    assert kind.get_entrypoint_options() == set(GIVEN)
    arguments = kind.get_entrypoint_arguments(**GIVEN)
    assert arguments == [part for name in sorted(GIVEN) for part in (f"--{name}", GIVEN[name])]
    assert kind(arguments).entrypoint_args == GIVEN
    assert kind.get_entrypoint_command()[1:] == ["-m", "lazytrack.entrypoint"]


def test_values_may_look_like_options():
    given = GIVEN | {"run": "--run", "step": "-m", "project": ""}
    kind = StepOperatorEntrypointConfiguration
    assert kind(kind.get_entrypoint_arguments(**given)).entrypoint_args == given


def test_arguments_that_are_missing_or_not_known_are_named():
    kind = StepOperatorEntrypointConfiguration
    with pytest.raises(ValueError, match="lacks run, step; it takes project, run, source, step, step_run_id"):
        kind.get_entrypoint_arguments(**{name: GIVEN[name] for name in ("project", "source", "step_run_id")})
    with pytest.raises(ValueError, match="has no colour; known: project"):
        kind.get_entrypoint_arguments(**GIVEN, colour="red")
    whole = kind.get_entrypoint_arguments(**GIVEN)
    for arguments, why in (
        (whole[:-2], "lacks step_run_id"),
        (whole[:-1], "'--step_run_id' has no value"),
        ([*whole, "--run", "x"], "'--run' is given twice"),
        (["run", *whole], "'run' is no option"),
        ([*whole, "--colour", "red"], "has no colour"),
        ([], "lacks project, run, source, step, step_run_id"),
    ):
        with pytest.raises(ValueError, match=why):
            kind(arguments)


def test_a_kind_of_command_of_ones_own_may_know_more():
    class Coloured(StepOperatorEntrypointConfiguration):
        @classmethod
        def get_entrypoint_options(cls):
            return super().get_entrypoint_options() | {"colour"}

        @classmethod
        def get_entrypoint_arguments(cls, **kwargs):
            return super().get_entrypoint_arguments(colour="red", **kwargs)

    arguments = Coloured.get_entrypoint_arguments(**GIVEN)
    assert Coloured(arguments).entrypoint_args == GIVEN | {"colour": "red"}
    with pytest.raises(ValueError, match="has no colour"):
        StepOperatorEntrypointConfiguration(arguments)
