"""How the calls of one step are done in a run: its options over the pipeline's, and what all of them record alike."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.errors import StepInterfaceError
from lazytrack.provenance.kept import SOURCE, Shared, file_of
from lazytrack.steps import code
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import OPTIONS, StepConfiguration, StepRetryConfig
from lazytrack.steps.hooks import hook_said
from lazytrack.steps.interface import StepInterface
from lazytrack.steps.keys import FixedParts, fixed_parts
from lazytrack.steps.policy import CachePolicy, policy_said

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_ELSEWHERE = {"name", "parameters", "group"}
"""Options that are recorded in another place."""


@attrs.define(kw_only=True, eq=False)
class StepPlan:
    """How the calls of one step are done in a run.

    Parameters
    ----------
    interface, own
        What the step takes and returns, and its own options; other steps may share both.
    configuration
        Its options over the pipeline's.
    is_cached
        Whether outputs of an earlier run may be taken.
    output_names
        Of each declared output what it is called in this run.
    said
        What the record of each call says alike, as strict JSON.
    code_file
        The file with its source.
    """

    interface: StepInterface
    own: StepConfiguration
    configuration: StepConfiguration
    is_cached: bool
    output_names: dict[str, str]
    said: dict[str, Any]
    code_file: Shared | None
    policy: CachePolicy = attrs.Factory(lambda self: self.configuration.cache_policy or CachePolicy(), takes_self=True)
    """What its cache keys consist of."""
    _fixed: FixedParts | None = None

    def fixed_parts(self, step: BaseStep) -> FixedParts:
        """Return what the cache keys of all calls have in common."""
        if self._fixed is None:
            self._fixed = fixed_parts(step, self.configuration)
        return self._fixed

    @property
    def retry(self) -> StepRetryConfig:
        """How often it is tried again."""
        return self.configuration.retry or StepRetryConfig(max_retries=0)

    @property
    def variables(self) -> dict[str, str]:
        """Variables that it has for the time it runs."""
        return self.configuration.environment or {}


def plan_of(
    step: BaseStep, configuration: StepConfiguration, *, is_cached: bool, substitutions: Mapping[str, str]
) -> StepPlan:
    """Return how the calls of a step are done.

    Parameters
    ----------
    configuration
        Its options over the pipeline's.
    substitutions
        What stands for placeholders in the names of outputs.
    """
    named = {**substitutions, **(configuration.substitutions or {})}
    source = code.source_file(step)
    code_file = None if source is None else _code_file(source)
    subject = step._code
    said = {
        "step_class_name": subject.__qualname__.rpartition(".")[2],
        "entrypoint": f"{subject.__module__}.{subject.__qualname__}",
        "cacheable": is_cached,
        "config": codec.store(config_said(configuration)),
        **({} if code_file is None else {SOURCE: code_file.digest}),
    }
    if (version := getattr(step, "VERSION", None)) is not None:
        said["version"] = str(version)
    if configuration.heartbeat_healthy_threshold is not None:
        said["heartbeat_healthy_threshold"] = configuration.heartbeat_healthy_threshold
    output_names = {name: substituted(name, named) for name in step.interface.outputs}
    if len(set(output_names.values())) < len(output_names):
        raise StepInterfaceError(
            f"step {step.name!r} has outputs of one name, with what stands for their placeholders: "
            f"{', '.join(map(repr, output_names.values()))}"
        )
    return StepPlan(
        interface=step.interface,
        own=step.configuration,
        configuration=configuration,
        is_cached=is_cached,
        output_names=output_names,
        said=said,
        code_file=code_file,
    )


_code_files: dict[str, Shared] = {}
"""By source: redacting one takes longer than most steps."""


def _code_file(source: Mapping[str, str]) -> Shared:
    text = source["source"]
    found = _code_files.get(text)
    if found is None:
        from lazytrack.provenance.redact import redact  # noqa: PLC0415  (it takes longer to load than most steps)

        found = _code_files[text] = file_of(SOURCE, {**source, "source": redact(text)})
    return found


def substituted(name: str, substitutions: Mapping[str, str]) -> str:
    """Return a name with what stands for its placeholders; one that is not known stays."""
    return _PLACEHOLDER.sub(lambda match: substitutions.get(match[1], match[0]), name)


def placeholders(name: str) -> list[str]:
    """Return the placeholders in a name."""
    return _PLACEHOLDER.findall(name)


def config_said(configuration: StepConfiguration) -> dict[str, Any]:
    """Return what a record says of the options that are set, as JSON values."""
    said: dict[str, Any] = {}
    for name in OPTIONS:
        option = getattr(configuration, name)
        if option is None or name in _ELSEWHERE:
            continue
        said[name] = _option_said(name, option)
    return said


def _option_said(name: str, option: Any) -> Any:
    match name:
        case "on_failure" | "on_success" | "on_start" | "on_end":
            return hook_said(option)
        case "output_materializers":
            return {output: [_alias(handler) for handler in handlers] for output, handlers in option.items()}
        case "retry":
            return attrs.asdict(option)
        case "cache_policy":
            return policy_said(option)
        case "secrets":
            return list(option)
        case "environment":
            from lazytrack.provenance.redact import redact_data  # noqa: PLC0415  (as above)

            return redact_data(dict(option))
        case "model":
            return option if isinstance(option, (str, dict)) else repr(option)
        case _:
            return codec.plain(option, name)


def _alias(handler: Any) -> str:
    return handler if isinstance(handler, str) else str(handler.alias)
