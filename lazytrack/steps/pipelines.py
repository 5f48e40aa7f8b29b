"""Pipelines: functions whose body calls steps, and whose calls are recorded as runs."""

import contextlib
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, overload

from lazytrack import codec
from lazytrack.errors import StepInterfaceError
from lazytrack.post_execution.pipeline_run import PipelineRunView, view_of_run
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps.alone import time_parts
from lazytrack.steps.annotations import show
from lazytrack.steps.configuration import UNSET
from lazytrack.steps.context import run_here, step_here
from lazytrack.steps.interface import StepInterface, read_arguments
from lazytrack.steps.modes import ExecutionMode, RunOptions
from lazytrack.steps.parameters import check_known, gather
from lazytrack.steps.pipeline_options import PIPELINE_OPTIONS, PipelineConfiguration, check_pipeline_options
from lazytrack.steps.plan import config_said, placeholders, substituted
from lazytrack.steps.resuming import UNKEPT, arguments_of, find_run
from lazytrack.steps.run import Run
from lazytrack.tracking.active import active_project


class Pipeline:
    """A function whose body calls steps. Each call of it is a run, whose view it returns; see `pipeline`."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        if not isinstance(function, types.FunctionType):
            raise StepInterfaceError(f"a pipeline is made of a function, not of {show(function)}")
        functools.update_wrapper(self, function)
        self._function = function
        self._interface: StepInterface = read_arguments(function, function.__name__)
        self._configuration = PipelineConfiguration()
        self.configure(**options)

    # --- what it is ---

    @property
    def entrypoint(self) -> Callable[..., Any]:
        """The function."""
        return self._function

    @property
    def name(self) -> str:
        """The configured name, else that of its function."""
        return self._configuration.name or self._function.__name__

    @property
    def enable_cache(self) -> bool | None:
        """Whether outputs of earlier runs may be taken, where a step does not say; None where that is not set."""
        return self._configuration.enable_cache

    @property
    def configuration(self) -> PipelineConfiguration:
        """All options."""
        return self._configuration

    @property
    def docstring(self) -> str | None:
        """What its function says about itself."""
        return self._function.__doc__

    def __repr__(self) -> str:
        return f"<pipeline {self.name!r}>"

    # --- configuring ---

    def configure(self, *, merge: bool = True, **options: Any) -> Self:
        """Change options of this pipeline, and return it. One that is left out stays; None resets one.

        Parameters
        ----------
        merge
            Add to dicts, tags and secrets that are configured already, instead of replacing them.
        options
            See `pipeline`; when one is refused, nothing is changed.
        """
        options.pop("dynamic", None)  # every body runs live
        check_known(options, PIPELINE_OPTIONS, f"pipeline {self.name!r} has no option")
        given = {name: option for name, option in options.items() if option is not UNSET}
        self._configuration = self._configuration.changed(check_pipeline_options(given, self.name), merge=merge)
        return self

    def with_options(self, *, merge: bool = True, **options: Any) -> Self:
        """Return a copy of this pipeline with other options, as `configure` takes them; this one stays as it is.

        ``run_name="nightly-{date}"`` names its runs, ``steps={"train": {"enable_cache": False}}`` gives options to
        calls of steps by invocation id, which come before those of the steps.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other.configure(merge=merge, **options)

    # --- calling ---

    def __call__(self, *args: Any, **kwargs: Any) -> PipelineRunView | Any:
        """Run the pipeline, and return a view of the run; in the body of another one, what its own body returns.

        Raises
        ------
        ValueError
            When an argument does not match its annotation, or the body calls no step.
        PipelineRunError
            When there is a run of that name, or a step failed; its `__cause__` is what that raised.
        Exception
            In mode ``fail_fast`` what the first failed step raised; always, what the body itself raises.
        """
        values = self._values(args, kwargs)
        if step_here.get() is not None or run_here.get() is not None:
            return self._interface.call(self._function, values)
        return self._run(Run(active_project(), self._options(values)), values)

    def resume(self, run_name: str, /, *, force: bool = False, **arguments: Any) -> PipelineRunView:
        """Go on with a run of this pipeline that was killed, interrupted or failed, and return a view of it.

        The body runs anew. Calls that had completed are not repeated, be they cached or not, as long as their code,
        parameters and inputs are what they were; all others run, and their earlier attempts stay in the record. A run
        that has completed is returned as it is.

        Parameters
        ----------
        run_name
            Of a run in the active project.
        force
            Go on with it though it was heard of a short while ago: you know that its process is gone.
        arguments
            Those that JSON could not hold when the run was recorded; all others are what they were.

        Raises
        ------
        KeyError
            When there is no such run.
        ValueError
            When it is of another pipeline, or an argument is missing, or not what it was.
        RuntimeError
            When there are several runs of that name, or this is the body of a pipeline or a step.
        PipelineRunError
            When the run may be running still; else as for a call.
        """
        if step_here.get() is not None or run_here.get() is not None:
            raise RuntimeError(f"pipeline {self.name!r} cannot be resumed within a run: resume that one")
        project = active_project()
        slug = find_run(project, self.name, codec.text(run_name, "the name of a run"), force=force)
        check_known(arguments, self._interface.inputs, f"pipeline {self.name!r} has no argument")
        values = self._values((), arguments_of(project, slug, self._interface.inputs, arguments))
        if project[slug].status == ExecutionStatus.COMPLETED:
            return view_of_run(project, slug)
        options = self._options(values)
        options.name, options.resumes = run_name, slug
        return self._run(Run(project, options), values)

    def _run(self, run: Run, values: Mapping[str, Any]) -> PipelineRunView:
        with run.going_on():
            self._interface.call(self._function, values)
        return view_of_run(run.project, run.slug)

    def _values(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = gather(self._interface, self.name, args, kwargs, kind="pipeline")
        values = {}
        for name, value in given.items():
            try:
                values[name] = self._interface.inputs[name].coerce(value, self.name)
            except StepInterfaceError as error:
                raise ValueError(str(error).replace("step ", "pipeline ", 1)) from None
        return values

    def _options(self, values: Mapping[str, Any]) -> RunOptions:
        configuration = self._configuration
        parts = time_parts() | (configuration.defaults.substitutions or {})
        template = configuration.run_name or "{pipeline}-{date}-{time}"
        known = {"pipeline": self.name, **parts}
        if unknown := [each for each in placeholders(template) if each not in known]:
            raise ValueError(
                f"pipeline {self.name!r}: run_name {template!r} has a placeholder {unknown[0]!r}; known: "
                f"{', '.join(known)}; substitutions add others"
            )
        plain = _plain(values)
        unkept = [name for name in values if name not in plain]
        return RunOptions(
            name=substituted(template, known),
            pipeline=self.name,
            kind=self.name if configuration.run_name is None else None,
            said={
                "pipeline": self.name,
                "source": f"{self._function.__module__}.{self._function.__qualname__}",
                "execution_mode": str(configuration.execution_mode or ExecutionMode.STOP_ON_FAILURE),
                **({} if configuration.enable_cache is None else {"enable_cache": configuration.enable_cache}),
                "config": config_said(configuration.defaults),
                **({UNKEPT: unkept} if unkept else {}),
            },
            defaults=configuration.defaults,
            overrides=configuration.steps or {},
            enable_cache=configuration.enable_cache,
            mode=configuration.execution_mode or ExecutionMode.STOP_ON_FAILURE,
            parameters={name: plain[name] if name in plain else show(value) for name, value in values.items()},
            tags=configuration.tags or (),
            substitutions=parts,
            executor=configuration.executor,
            progress=configuration.progress,
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a pipeline that JSON can hold."""
    found = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = codec.plain(value, name)
    return found


@overload
def pipeline(function: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(function: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Pipeline]: ...
@overload
def pipeline(function: Callable[..., Any], /, **options: Any) -> Pipeline: ...


def pipeline(
    function: Callable[..., Any] | None = None, /, **options: Any
) -> Pipeline | Callable[[Callable[..., Any]], Pipeline]:
    """Make a pipeline of a function, as ``@pipeline`` or ``@pipeline(enable_cache=False)``.

    Its body runs as it is written, whenever the pipeline is called: branches, loops, and `submit`, `map` and `product`
    of its steps. Each call is a run, which is an experiment of the active project.

    Parameters
    ----------
    function
        With named arguments, whose annotations are checked.
    options
        ``name``, ``enable_cache``, ``tags``, ``execution_mode``, ``executor``, ``progress``; see
        `PipelineConfiguration`. All others are defaults of those of its steps: ``enable_artifact_metadata``,
        ``enable_step_logs``, ``settings``, ``extra``, hooks, ``model``, ``retry``, ``environment``, ``secrets``,
        ``step_operator``, ``substitutions``, ``cache_policy``; see `StepConfiguration`. ``dynamic`` is accepted, and
        changes nothing.
    """
    if function is not None:
        return Pipeline(function, options)
    return lambda function: Pipeline(function, options)
