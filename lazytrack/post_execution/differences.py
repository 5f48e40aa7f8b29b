"""What differs between two experiments, runs or steps, in all that is recorded of them; or between two times."""

import difflib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import naming
from lazytrack.artifacts import Artifact
from lazytrack.errors import LazytrackError, reason
from lazytrack.post_execution.artifact import ArtifactView
from lazytrack.post_execution.pipeline_run import PipelineRunView
from lazytrack.post_execution.step import StepView
from lazytrack.provenance.comparing import env_diff

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment
    from lazytrack.tracking.project import Project

Pairs = Mapping[str, tuple[Any, Any]]
_LARGEST = 1_000_000
"""Bytes of an artifact whose text is compared."""
_SHOWN = 60
"""Characters of a value."""


@attrs.frozen(kw_only=True)
class Differences:
    """What differs. Each value is a pair, of the first and of the second; None is not there.

    Parameters
    ----------
    first, second
        What is compared.
    sections
        By what it is of, such as ``parameters``, what differs by name.
    texts
        Of artifacts that are text, source code and lock files, a unified diff by name.
    """

    first: str
    second: str
    sections: Mapping[str, Pairs]
    texts: Mapping[str, str] = attrs.Factory(dict)

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return any(self.sections.values())

    def __str__(self) -> str:
        """Return a line for each difference, under a heading for each kind."""
        if not self:
            return f"{self.first} and {self.second} do not differ"
        lines = [f"from {self.first} to {self.second}"]
        for heading, pairs in self.sections.items():
            if pairs:
                lines.append(heading)
                lines += [f"  {name}: {_shown(before)} → {_shown(after)}" for name, (before, after) in pairs.items()]
        lines += self.texts.values()
        return "\n".join(lines)


def diff(first: Any, second: Any) -> Differences:
    """Return what differs between two experiments, runs or steps.

    Parameters
    ----------
    first, second
        Both experiments or runs, or both steps.

    Raises
    ------
    TypeError
        When they are of different kinds, or none of these.
    """
    ours, theirs = (each.experiment if isinstance(each, PipelineRunView) else each for each in (first, second))
    if isinstance(ours, StepView) and isinstance(theirs, StepView):
        return _of_steps(ours, theirs)
    if isinstance(ours, StepView) or isinstance(theirs, StepView) or not hasattr(ours, "artifacts"):
        raise TypeError(f"two experiments, two runs or two steps can be compared, not {first!r:.80} and {second!r:.80}")
    return _of_experiments(ours, theirs)


def _of_experiments(first: "Experiment", second: "Experiment") -> Differences:
    both = first, second
    one, two = (each.to_dict() for each in both)
    artifacts, texts = _artifacts(
        {each.name: (each, first) for each in first.artifacts}, {each.name: (each, second) for each in second.artifacts}
    )
    sections: dict[str, Pairs] = {
        "experiment": _pairs(*({key: data.get(key) for key in ("name", "status", "notes")} for data in (one, two))),
        "parameters": _pairs(one["parameters"], two["parameters"]),
        "metrics": _pairs(one["metrics"], two["metrics"]),
        "tags": _pairs(*(dict.fromkeys(data["tags"], True) for data in (one, two))),
        "tests": _pairs(*({f"{t.name}.{k}": v for t in e.tests for k, v in t.metrics.items()} for e in both)),
        "steps": _pairs(*({s.step_name or s.unique_id: str(s.state) for s in e.steps} for e in both)),
        "dependencies": _pairs(*({k: e.dependencies.reference(k) for k in e.dependencies} for e in both)),
        "artifacts": artifacts,
    }
    more, lock_texts = _origins(first, second)
    return Differences(first=first.slug, second=second.slug, sections=sections | more, texts=texts | lock_texts)


def _of_steps(first: StepView, second: StepView) -> Differences:
    outputs = [{name: view.model.artifact for name, view in step.outputs.items()} for step in (first, second)]  # type: ignore[attr-defined]
    owners = [(step._project, step) for step in (first, second)]
    artifacts, texts = _artifacts(
        *({n: (a, owner) for n, a in found.items()} for found, (owner, _) in zip(outputs, owners, strict=True))
    )
    sections: dict[str, Pairs] = {
        "step": _pairs(*({"status": str(s.status), "entrypoint": s.spec.source} for s in (first, second))),
        "parameters": _pairs(first.parameters, second.parameters),
        "configuration": _pairs(*(_without(s.step_configuration, "name", "parameters") for s in (first, second))),
        "inputs": _pairs(*({n: _digest(v) for n, v in s.inputs.items()} for s in (first, second))),
        "outputs": artifacts,
        "metadata": _pairs(*({n: e.value for n, e in s.metadata.items()} for s in (first, second))),
    }
    code = [step.source_code or "" for step in (first, second)]
    if code[0] != code[1]:
        sections["source"] = {"code": ("one", "another")}
        texts = {**texts, "source": _unified("source", *code)}
    infos = [_info(step) for step in (first, second)]
    more, lock_texts = ({}, {}) if None in infos else _origins(*infos)
    return Differences(first=first.id, second=second.id, sections=sections | more, texts=texts | lock_texts)


def _info(step: StepView) -> Any:
    """Return the record of a step, which says what it ran on; None where there is none."""
    experiment = step._project._experiment_of(str(step.model.run))  # type: ignore[attr-defined]
    found = () if experiment is None else experiment.steps
    return next((info for info in found if info.step_name == step.name), None)


def _origins(first: Any, second: Any) -> tuple[dict[str, Pairs], dict[str, str]]:
    """Return what differs between where two results come from; where one does not say, that alone."""
    try:
        found = env_diff(first, second)
    except (ValueError, LazytrackError) as error:
        says = [each.environment is not None for each in (first, second)]
        return ({} if says == [False, False] else {"origin": {"recorded": (says[0], reason(error))}}), {}
    sections = {name: getattr(found, name) for name in ("packages", "python", "platform", "git", "lock_files")}
    return sections, dict(found.texts)


def _artifacts(one: Mapping[str, Any], two: Mapping[str, Any]) -> tuple[Pairs, dict[str, str]]:
    """Return which artifacts differ, by their digests, and how those do that are text."""
    pairs = _pairs({n: _told(a) for n, (a, _) in one.items()}, {n: _told(a) for n, (a, _) in two.items()})
    texts = {}
    for name in pairs:
        if name in one and name in two:
            before, after = _text(*one[name]), _text(*two[name])
            if before is not None and after is not None:
                texts[name] = _unified(name, before, after)
    return pairs, texts


def _told(artifact: Artifact) -> str:
    stored = artifact.stored
    return f"{artifact.alias}, not saved" if stored is None else f"{artifact.alias} {stored.sha256[:12]}"


def _text(artifact: Artifact, owner: Any) -> str | None:
    """Return the text of an artifact that is some, and not too long."""
    stored = artifact.stored
    if artifact.binary or stored is None or stored.size > _LARGEST:
        return None
    place = getattr(owner, "_owner", owner)
    try:
        return str(place._shelf_of(artifact).text(artifact))
    except (LazytrackError, OSError, UnicodeDecodeError):
        return None


def _digest(found: Any) -> Any:
    if isinstance(found, list):
        return [_digest(item) for item in found]
    if isinstance(found, ArtifactView):
        stored = found.model.artifact.stored  # type: ignore[attr-defined]
        return None if stored is None else stored.sha256[:12]
    return None


def _without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}


def _pairs(one: Mapping[str, Any], two: Mapping[str, Any]) -> Pairs:
    names = [*one, *(name for name in two if name not in one)]
    return {name: (one.get(name), two.get(name)) for name in names if not _equal(one.get(name), two.get(name))}


def _equal(one: Any, two: Any) -> bool:
    return bool(one == two) or (one != one and two != two)  # noqa: PLR0124  (NaN is not itself)


def _unified(name: str, before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    return "\n".join(difflib.unified_diff(old, new, f"{name} before", f"{name} after", lineterm=""))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def diff_of_times(before: "Project", after: "Project") -> Differences:
    """Return which experiments are new, gone or changed between two times of one project; see `Project.as_of`."""
    rows = [{row["slug"]: row for row in project.table()} for project in (before, after)]
    experiments = _pairs(*({slug: row["status"] for slug, row in found.items()} for found in rows))
    sections: dict[str, Pairs] = {"experiments": experiments}
    for slug in rows[0]:
        if slug in rows[1]:
            changed = _pairs(*(_without(found[slug], "slug", "status") for found in rows))
            if changed:
                sections[slug] = changed
    return Differences(first=_at(before), second=_at(after), sections=sections)


def _at(project: "Project") -> str:
    return "now" if project._until == math.inf else naming.iso(naming.from_micros(int(project._until)))
