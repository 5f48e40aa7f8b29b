"""What every step operator is: it launches the command of a step, and waits for it."""

import abc
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SecretStr

from lazytrack import naming
from lazytrack.errors import StepInterfaceError
from lazytrack.step_operators.references import is_reference, resolved
from lazytrack.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration
from lazytrack.step_operators.step_run_info import StepRunInfo


class BaseStepOperatorConfig(BaseModel):
    """How an operator is set up; it cannot be changed.

    A subclass declares fields, and those that are secrets as `pydantic.SecretStr`, which no text of it shows. A text
    ``{{name.key}}`` is a reference to a secret, which is looked up when the field is read.

    Parameters
    ----------
    warn_about_plain_text_secrets
        Warn where a secret is given as it is, rather than by reference.

    Raises
    ------
    pydantic.ValidationError
        When a field is not known, missing, or has another type; a `ValueError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # it may be a secret

    def __init__(self, warn_about_plain_text_secrets: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not warn_about_plain_text_secrets:
            return
        for name, value in self.__dict__.items():
            if isinstance(value, SecretStr) and (text := value.get_secret_value()) and not is_reference(text):
                warnings.warn(
                    f"{type(self).__name__}: {name} is a secret, given as it is: a reference such as "
                    "'{{name.key}}' keeps it out of the code",
                    UserWarning,
                    stacklevel=2,
                )

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if type(value) is str and name in type(self).model_fields and is_reference(value):
            return resolved(value)
        if isinstance(value, SecretStr) and is_reference(value.get_secret_value()):
            return SecretStr(resolved(value.get_secret_value()))
        return value

    def over(self, settings: Mapping[str, Any]) -> Self:
        """Return this with some fields that are set otherwise.

        Raises
        ------
        pydantic.ValidationError
            When one is not known, or has another type; a `ValueError`.
        """
        return type(self)(**{**self.__dict__, **settings}) if settings else self


class BaseStepOperator(abc.ABC):
    """Launches steps somewhere else.

    A subclass implements `launch`, or, where jobs go on by themselves, is a `JobStepOperator`.

    Parameters
    ----------
    name
        What steps call it.
    id
        By default one is drawn.
    config
        How it is set up.
    flavor, type, user, workspace, created, updated, labels
        Kept and shown.
    connector_requirements, connector, connector_resource_id, args, kwargs
        Taken, as operators of other frameworks are given them, and kept.

    Raises
    ------
    TypeError
        When `config` is missing, or none.
    """

    flavor_name: ClassVar[str] = ""
    """What the settings of a step call it: ``settings={"slurm": {...}}``."""

    def __init__(  # noqa: PLR0913, PLR0917  (a published signature)
        self,
        name: str,
        id: Any = None,
        config: BaseStepOperatorConfig | None = None,
        flavor: str | None = None,
        type: str = "step_operator",
        user: Any = None,
        workspace: Any = None,
        created: datetime | None = None,
        updated: datetime | None = None,
        labels: Mapping[str, Any] | None = None,
        connector_requirements: Any = None,
        connector: Any = None,
        connector_resource_id: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not isinstance(config, BaseStepOperatorConfig):
            raise TypeError(f"step operator {name!r}: config must be a BaseStepOperatorConfig, not {config!r:.100}")
        self.name = name
        self.id = naming.unique(16) if id is None else id
        self._config = config
        self.flavor = flavor or self.flavor_name
        self.type = type
        self.user, self.workspace = user, workspace
        self.created = created or naming.now()
        self.updated = updated or self.created
        self.labels = labels
        self.connector_requirements = connector_requirements
        self.connector, self.connector_resource_id = connector, connector_resource_id
        self.args, self.kwargs = args, kwargs

    @property
    def config(self) -> BaseStepOperatorConfig:
        """How it is set up."""
        return self._config

    @property
    def entrypoint_config_class(self) -> type[StepOperatorEntrypointConfiguration]:
        """What makes the command of a step."""
        return StepOperatorEntrypointConfiguration

    @abc.abstractmethod
    def launch(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Run the command of a step somewhere, and return when it has ended.

        How the step went is read from the project: an operator has no say in that.

        Parameters
        ----------
        info
            Which step it is, and what it asks for.
        entrypoint_command
            The program with what it is given: locations alone.
        environment
            Variables that the command has to have, besides those of its own environment. There may be secrets among
            them: they must not get into a command line, a record or a log.

        Raises
        ------
        Exception
            When it could not be run, or failed.
        """

    def check(self, step: str, config: Any) -> None:
        """Refuse a step that asks for what there is not, before anything starts.

        Parameters
        ----------
        step
            Its name.
        config
            All its options.

        Raises
        ------
        StepInterfaceError
            When it does; the message says what.
        """
        try:
            self.config_for(config)
        except ValueError as error:
            raise StepInterfaceError(
                f"step {step!r}: settings[{self.flavor!r}] are none of step operator {self.name!r}: {error}"
            ) from error

    def config_for(self, config: Any) -> Any:
        """Return how it is set up for a step: with what the step's settings say under the name of the flavor.

        Raises
        ------
        ValueError
            When they say what it does not know.
        """
        settings = (getattr(config, "settings", None) or {}).get(self.flavor) or {}
        return self._config.over(settings)

    def __repr__(self) -> str:
        return f"<step operator {self.name!r}>"


_Config = type[BaseStepOperatorConfig]
_Operator = type[BaseStepOperator]


class BaseStepOperatorFlavor(abc.ABC):
    """A kind of step operator, which entry points of the group ``lazytrack.step_operator`` name."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is called."""

    @property
    def type(self) -> str:
        """What it is a kind of."""
        return "step_operator"

    @property
    def config_class(self) -> _Config:
        """What its operators are set up with."""
        return BaseStepOperatorConfig

    @property
    @abc.abstractmethod
    def implementation_class(self) -> _Operator:
        """The class of its operators."""
