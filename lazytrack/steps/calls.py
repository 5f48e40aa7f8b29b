"""The calls of a run: what each is called, what it is given, and how it is done."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import codec
from lazytrack.errors import StepInterfaceError
from lazytrack.steps import inputs
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import GroupInfo
from lazytrack.steps.futures import MapResultsFuture, StepFuture
from lazytrack.steps.handles import ExternalArtifact, unmapped
from lazytrack.steps.invocation import Invocation, own_copy
from lazytrack.steps.parameters import resolve
from lazytrack.steps.plan import StepPlan, plan_of

if TYPE_CHECKING:
    from lazytrack.steps.run import Run


class Calls:
    """The calls of a run, in the order in which they were made."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._lock = threading.RLock()
        self._by_key: dict[str, Invocation] = {}
        self._counts: dict[str, int] = {}
        self._plans: dict[tuple[int, str], StepPlan] = {}

    def __iter__(self) -> Iterator[Invocation]:
        return iter(list(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def prepare(
        self,
        step: BaseStep,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: str | None,
        after: Any,
        group: GroupInfo | None = None,
        others_are_artifacts: bool = False,
    ) -> Invocation:
        """Check what a call is given, and give it an id.

        Parameters
        ----------
        args, kwargs, id, after
            As they are given; see `BaseStep.__call__`.
        group
            What it belongs to, instead of what the step says.
        others_are_artifacts
            Take what JSON cannot hold as an artifact, instead of refusing it.

        Raises
        ------
        StepInterfaceError
            When an argument is not as declared, the id is taken, or `after` names what was not called.
        """
        name = step.name
        args, kwargs = [_bare(each) for each in args], {key: _bare(value) for key, value in kwargs.items()}
        waits = self._named_by(after, name)
        for argument, value in (*zip(step.interface.inputs, args, strict=False), *kwargs.items()):
            inputs.check_none_hidden(value, name, argument)
        with self._lock:
            key = self._free_key(name, id)
            plan = self._plan(step, key)
            arguments = resolve(
                step.interface,
                name,
                args,
                kwargs,
                configured=plan.configuration.parameters,
                is_artifact=inputs.is_artifact,
                others_are_artifacts=others_are_artifacts,
            )
            trees = {}
            for argument, value in arguments.artifacts.items():
                known = inputs.is_artifact(value)
                trees[argument] = inputs.as_tree(value, name, argument) if known else ExternalArtifact(value=value)
                inputs.check_owner(trees[argument], self._run.project.location, name, argument)
            group = group or plan.configuration.group
            invocation = Invocation(
                run=self._run,
                step=step,
                plan=plan,
                key=key,
                number=len(self._by_key),
                parameters=own_copy(arguments.parameters),
                plain=arguments.plain,
                inputs=trees,
                after=waits,
                group=None if group is None else attrs.asdict(group),
            )
            self._by_key[key] = invocation
            if id is None:
                self._counts[name] = self._counts.get(name, 0) + 1
        return invocation

    def _free_key(self, name: str, id: str | None) -> str:
        if id is not None:
            if not codec.text(id, f"the id of a call of step {name!r}").strip():
                raise ValueError(f"the id of a call of step {name!r} is empty")
            if self._is_taken(id):
                raise StepInterfaceError(f"run {self._run.name!r} has a call {id!r} already: give another id")
            return id
        count = self._counts.get(name, 0)
        while self._is_taken(key := name if count == 0 else f"{name}_{count + 1}"):
            count = self._counts[name] = count + 1
        return key

    def _is_taken(self, key: str) -> bool:
        """Tell whether there is a call of that id, or a block of a step that is called so."""
        return key in self._by_key or self._run.has_block(key)

    def _plan(self, step: BaseStep, key: str) -> StepPlan:
        overrides = self._run.options.overrides.get(key)
        known = id(step.configuration), key if overrides else ""
        plan = self._plans.get(known)
        if plan is None or plan.own is not step.configuration or plan.interface is not step.interface:
            own = step.with_options(**overrides).configuration if overrides else step.configuration
            configuration = own.over(self._run.options.defaults)
            enable = configuration.enable_cache
            if enable is None:
                enable = self._run.options.enable_cache is not False
            enable = enable and self._run.options.pipeline is not None  # a step that is called by itself runs
            plan = plan_of(step, configuration, is_cached=enable, substitutions=self._run.options.substitutions)
            self._plans[known] = plan
        return plan

    def _named_by(self, after: Any, step: str) -> list[Invocation]:
        """Return the calls that `after` names: by ids, handles, futures, results of maps, or lists of them."""
        match after:
            case None:
                return []
            case str():
                found = self._by_key.get(after)
                if found is None:
                    known = ", ".join(map(repr, self._by_key)) or "none"
                    raise StepInterfaceError(
                        f"step {step!r} is to run after {after!r}, which was not called; known: {known}"
                    )
                return [found]
            case StepFuture():
                return [after._invocation]
            case list() | tuple() | set() | MapResultsFuture():
                return [invocation for item in after for invocation in self._named_by(item, step)]
        if inputs.is_artifact(after):
            return list(inputs.producers(after))
        raise StepInterfaceError(f"step {step!r} is to run after {after!r}, which is no call of a step")


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, unmapped) else value
