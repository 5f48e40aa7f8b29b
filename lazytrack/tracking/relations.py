"""A project as tables for SQL: what each of them holds."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.artifacts.base import Artifact
from lazytrack.exchange.columns import as_number, as_text
from lazytrack.series import SERIES, SYSTEM
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.table import sections_of

if TYPE_CHECKING:
    from lazytrack.tracking.catalog import Catalog
    from lazytrack.tracking.experiment import Experiment

Columns = dict[str, list[Any]]
Relation = tuple[Columns, Mapping[str, type]]
"""Columns by name, and the types of those that do not depend on what is in them."""
_ARTIFACTS = ("artifacts.", "tests.")


class Relations(dict[str, Callable[[], Relation]]):
    """What makes the columns of each table, by its name."""

    def __init__(self, project: "Catalog") -> None:
        self._project = project
        super().__init__(
            experiments=self._experiments,
            parameters=self._parameters,
            metrics=self._metrics,
            tags=self._tags,
            artifacts=self._artifacts,
            steps=self._steps,
            history=self._history,
        )

    def _each(self) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Any], dict[str, Any], list[str]]]:
        """Yield of each experiment its slug, what it says of itself, parameters, metrics and tags.

        Of those that nobody has looked at nothing is built: most experiments of a large project are only rows here.
        """
        for slug in self._project._slugs():
            held = self._project._experiments.get(slug)
            if held is None:
                fields = self._project._journal.fields(slug)
                yield slug, fields, *sections_of(fields)
            else:
                yield slug, held._scalars, held.parameters, held.metrics, list(held.tags)

    def _with(self, *sections: str) -> "Iterator[Experiment]":
        """Yield the experiments that have something in one of some sections."""
        for slug in self._project._slugs():
            fields = self._project._journal.fields(slug)
            if slug in self._project._experiments or any(field.startswith(sections) for field in fields):
                yield self._project._experiment(slug)

    def _experiments(self) -> Relation:
        texts, times = ("slug", "name", "status", "author", "parent", "notes"), ("created_at", "last_updated")
        order = ("slug", "name", "status", "created_at", "author", "last_updated", "parent", "notes", "tags")
        found: Columns = {name: [] for name in (*order, "parameters", "metrics")}
        for slug, said, parameters, metrics, tags in self._each():
            found["slug"].append(slug)
            found["name"].append(str(said.get("name", naming.short_slug(slug))))
            found["status"].append(str(said.get("status", "completed")))
            for name in times:
                found[name].append(_time(said.get(name)))
            for name in ("author", "parent", "notes"):
                found[name].append(None if said.get(name) is None else str(said[name]))
            found["tags"].append(tags)
            found["parameters"].append(parameters)
            found["metrics"].append({name: value for name, value in metrics.items() if not name.startswith(SYSTEM)})
        return found, {**dict.fromkeys(texts, str), **dict.fromkeys(times, datetime), "tags": list}

    def _parameters(self) -> Relation:
        rows = [
            (slug, name, as_text(value), as_number(value))
            for slug, _, parameters, _, _ in self._each()
            for name, value in parameters.items()
        ]
        return _columns(rows, slug=str, name=str, value=str, number=float)

    def _metrics(self) -> Relation:
        rows = [
            (slug, name, as_number(value), as_text(value) if isinstance(value, list) else None)
            for slug, _, _, metrics, _ in self._each()
            for name, value in metrics.items()
        ]
        return _columns(rows, slug=str, name=str, value=float, list=str)

    def _tags(self) -> Relation:
        return _columns([(slug, tag) for slug, _, _, _, tags in self._each() for tag in tags], slug=str, tag=str)

    def _artifacts(self) -> Relation:
        rows = []
        for experiment in self._with(*_ARTIFACTS):
            rows += [_artifact(experiment.slug, None, artifact) for artifact in experiment.artifacts]
            for test in experiment.tests:
                rows += [_artifact(experiment.slug, test.name, artifact) for artifact in test.artifacts]
        said = {"slug": str, "test": str, "name": str, "handler": str, "version": int}
        return _columns(rows, **said, created_at=datetime, expiry=datetime, size=int, sha256=str, path=str)

    def _steps(self) -> Relation:
        rows = []
        for experiment in self._with(STEPS):
            for step in experiment.steps:
                status = step._extra.get("status") or str(step.state)
                seconds = None if step.duration is None else step.duration.total_seconds()
                said = (step.step_name, step.step_class_name, status, step.start_time, step.end_time, seconds)
                rows.append((experiment.slug, *said, step.error, step.unique_id))
        times = {"start_time": datetime, "end_time": datetime, "seconds": float}
        return _columns(
            rows, **{"slug": str, "name": str, "class": str, "status": str}, **times, error=str, unique_id=str
        )

    def _history(self) -> Relation:
        kinds = {"slug": str, "metric": str, "step": int, "time": datetime, "value": float, "rank": int}
        found: Columns = {name: [] for name in kinds}
        for experiment in self._with(SERIES):
            for metric in experiment.history_names:
                points = experiment.history(metric)
                found["slug"] += [experiment.slug] * len(points)
                found["metric"] += [metric] * len(points)
                found["step"] += points.step
                found["time"] += points.time
                found["value"] += points.value
                found["rank"] += points.rank
        return found, kinds


def _columns(rows: list[tuple[Any, ...]], **kinds: type) -> Relation:
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return {name: list(column) for name, column in zip(kinds, columns, strict=True)}, kinds


def _time(stored: Any) -> datetime | None:
    return codec.parse_time(stored) if codec.is_time(stored) else None


def _artifact(slug: str, test: str | None, artifact: Artifact) -> tuple[Any, ...]:
    stored = artifact.stored
    where = (None, None, None) if stored is None else (stored.size, stored.sha256, stored.path)
    said = (artifact.name, artifact.alias, artifact.version, artifact.created_at, artifact.expiry)
    return (slug, test, *said, *where)
