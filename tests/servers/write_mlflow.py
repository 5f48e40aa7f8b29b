"""Write MLflow stores by MLflow itself: ``python write_mlflow.py FOLDER [file] [sqlite]``.

``file`` is ``FOLDER/mlruns``; ``sqlite`` is ``FOLDER/sqlite/mlflow.db`` with its artifacts beside it. What a fresh
client then reads in them is told in ``FOLDER/expected.json``, under the name of the kind. Numbers that JSON lacks are
told as ``"nan"``, ``"inf"`` and ``"-inf"``.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import warnings
from pathlib import Path

KINDS = {"file": "mlruns", "sqlite": "sqlite"}
# The newest releases refuse to write files unless they are told to.
os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}

import cloudpickle  # noqa: E402
import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException  # noqa: E402

START = 1_760_000_000_000
"""Milliseconds; the first run starts then, each other a minute after the one before it."""
NAN, INF = math.nan, math.inf
ODD_NAME = "renamed: 50 % “odd” é/☃ #1"
MODEL = "a model é"
MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    cloudpickle_version: {cloudpickle}
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
    python_version: {python}
mlflow_version: {mlflow}
model_uuid: 0123456789abcdef0123456789abcdef
utc_time_created: '2025-10-09 08:53:20.000000'
"""


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.makedirs, (self._path, 0o777, True)


def trap(executed):
    """Return a pickle that makes `executed` when it is loaded, having tried it once."""
    content = cloudpickle.dumps(Trap(executed))
    cloudpickle.loads(content)
    executed.rmdir()
    return content


# --- writing ---


class Writer:
    """Fills one store."""

    def __init__(self, folder, executed):
        self.client = MlflowClient()
        self.executed = executed
        self.scratch = folder / "scratch"
        self.runs = 0

    def run(self, experiment, name, *, params=(), metrics=(), tags=(), status="FINISHED", parent=None):
        """Write a run whose metrics are names with triples of value, step and time after its start."""
        start = START + 60_000 * self.runs
        self.runs += 1
        nested = {"mlflow.parentRunId": parent} if parent else {}
        run = self.client.create_run(experiment, start_time=start, tags=nested, run_name=name).info.run_id
        history = [
            Metric(metric, value, start + after, step)
            for metric, points in dict(metrics).items()
            for value, step, after in points
        ]
        self.client.log_batch(
            run,
            history,
            [Param(key, value) for key, value in dict(params).items()],
            [RunTag(key, value) for key, value in dict(tags).items()],
        )
        if status != "RUNNING":
            self.client.set_terminated(run, status, start + 45_000)
        return run

    def files(self, contents):
        """Return a new folder that holds these files."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for name, content in contents.items():
            path = self.scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return str(self.scratch)

    def model_files(self):
        versions = {
            "cloudpickle": cloudpickle.__version__,
            "python": ".".join(map(str, sys.version_info[:3])),
            "mlflow": mlflow.__version__,
        }
        return self.files(
            {
                "MLmodel": MLMODEL.format(**versions).encode(),
                "python_model.pkl": trap(self.executed),
                "requirements.txt": f"mlflow=={mlflow.__version__}\n".encode(),
                "data/words.txt": "eins\nzwei ☃\n".encode(),
            }
        )

    def write(self, location):
        with contextlib.ExitStack() as cleaning:
            cleaning.callback(shutil.rmtree, self.scratch, ignore_errors=True)
            plain = self.client.create_experiment("plain", tags={"team": "tests", "mlflow.note.content": "# All sorts"})
            odd = self.client.create_experiment("to be renamed", artifact_location=location)
            self.client.rename_experiment(odd, ODD_NAME)
            self.client.set_experiment_tag(odd, "a tag/with a slash é", "two\nlines")
            deleted = self.client.create_experiment("deleted")
            trained = self.all_sorts(plain)
            self.sweep(odd)
            self.run(deleted, "of a deleted experiment", params={"a": "1"}, metrics={"loss": [(0.5, 0, 0)]})
            self.client.delete_experiment(deleted)
            self.models(plain, trained)

    def all_sorts(self, experiment):
        """Write runs of every kind; return the one that a model comes from."""
        slow = [(1 / (1 + step), step, 100 * step) for step in range(300)]
        trained = self.run(
            experiment,
            "trained",
            params={
                "learning rate": "0.001",
                "optimizer/name": "adam",
                "optimizer/betas": "(0.9, 0.999)",
                "größe-1.b_c": "ünïcode ☃ 日本",
                "long": "0123456789" * 600,
                "two lines": "first\nsecond",
                "JSON": '{"layers": [1, 2, {"a": null}], "text": "\\"quoted\\""}',
                "nothing": "None",
                "empty": "",
                "number like": "007",
            },
            metrics={
                "loss": slow,
                "val/accuracy": [(0.25, 0, 0), (0.5, 100, 1), (0.75, 200, 2)],
                "duplicated steps": [(1.0, 1, 10), (2.0, 1, 20), (3.0, 1, 30), (4.0, 2, 30)],
                "out of order": [(3.0, 3, 30), (1.0, 1, 10), (2.0, 2, 20), (-1.0, -5, 5)],
                "all at one step": [(0.1, 0, 3), (0.2, 0, 1), (0.3, 0, 2)],
                "not finite": [(NAN, 0, 0), (INF, 1, 1), (-INF, 2, 2), (1e300, 3, 3), (5e-324, 4, 4)],
                "ends in nan": [(1.0, 0, 0), (NAN, 1, 1)],
                "once ü": [(42.0, 0, 0)],
                "exact": [(0.1 + 0.2, 0, 0), (123456789.123456789, 1, 1), (2.0**53 + 2, 2**40, 2)],
            },
            tags={
                "mlflow.note.content": "# A note\n\nwith *two* paragraphs, ☃\n",
                "mlflow.user": "someone",
                "mlflow.source.name": "train.py",
                "mlflow.source.type": "LOCAL",
                "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
                "a tag/with a slash é": "x",
                "empty": "",
                "long": "y" * 4000,
            },
        )
        files = {
            "notes.txt": b"plain text\r\nwith two ends of lines\n",
            "empty.bin": b"",
            "a folder/deeper ü/numbers.json": b'{"a": [1, 2.5, null]}',
            "a folder/every byte.bin": bytes(range(256)) * 40,
        }
        self.client.log_artifacts(trained, self.files(files))
        self.client.log_text(trained, "<b>report</b>", "reports/index.html")
        self.client.log_dict(trained, {"b": 1, "a": [True, None]}, "reports/config.yaml")
        self.client.log_artifacts(trained, self.model_files(), "model")
        self.datasets(trained)

        self.run(experiment, "failed", params={"a": "1"}, metrics={"loss": [(9.0, 0, 0)]}, status="FAILED")
        self.run(experiment, "killed", status="KILLED", tags={"why": "no time"})
        self.run(experiment, "running", metrics={"loss": [(1.0, 0, 0), (0.5, 1, 1)]}, status="RUNNING")
        self.run(experiment, "empty")
        self.run(experiment, "a name with spaces, ünïcode ☃ and / and %2F")
        self.run(experiment, "same name", params={"seed": "1"})
        self.run(experiment, "same name", params={"seed": "2"})
        parent = self.run(experiment, "parent", params={"depth": "0"})
        child = self.run(experiment, "child", params={"depth": "1"}, parent=parent)
        self.run(experiment, "grandchild", params={"depth": "2"}, metrics={"loss": [(0.1, 0, 0)]}, parent=child)
        self.run(experiment, "second child", params={"depth": "1"}, parent=parent)
        gone = self.run(experiment, "deleted", params={"a": "1"}, metrics={"loss": [(0.5, 0, 0)]})
        self.client.log_text(gone, "still there", "left.txt")
        self.client.delete_run(gone)
        self.fluently(experiment)
        return trained

    def datasets(self, run):
        data = Dataset(
            name="rows",
            digest="0a1b2c3d",
            source_type="local",
            source=json.dumps({"uri": "data/rows ü.csv"}),
            schema=json.dumps({"mlflow_colspec": [{"type": "long", "name": "a", "required": True}]}),
            profile=json.dumps({"num_rows": 3}),
        )
        other = Dataset(name="held out", digest="ffff", source_type="code", source=json.dumps({"tags": {}}))
        self.client.log_inputs(
            run,
            datasets=[
                DatasetInput(data, [InputTag("mlflow.data.context", "training")]),
                DatasetInput(other, [InputTag("mlflow.data.context", "eval"), InputTag("fold", "3")]),
            ],
        )

    def fluently(self, experiment):
        """Write a run as most programs do, with what MLflow finds out by itself."""
        mlflow.set_experiment(experiment_id=experiment)
        with mlflow.start_run(description="by the fluent functions"):
            mlflow.log_params({"epochs": 3, "rate": 0.1, "flag": True, "list": [1, "a"]})
            for step in range(3):
                mlflow.log_metrics({"loss": 1.0 - step / 10, "count": step}, step=step)
            mlflow.log_text("hello", "greeting.txt")
            with mlflow.start_run(nested=True):
                mlflow.set_tag("inner", "yes")

    def sweep(self, experiment):
        for number in range(12):
            run = self.run(
                experiment,
                f"sweep {number}",
                params={"rate": repr(10.0**-number), "number": str(number)},
                metrics={"score": [(number + step / 8, step, 1000 * step) for step in range(8)]},
                tags={"half": "first" if number < 6 else "second"},
            )
            if number % 4 == 0:
                self.client.log_artifacts(run, self.files({f"number {number}.txt": str(number).encode()}), "out")

    def models(self, experiment, run):
        logged = self.logged_model(experiment, run)
        self.client.create_registered_model(MODEL, tags={"team": "tests"}, description="Line one.\nLine two: ☃")
        source = self.client.get_run(run).info.artifact_uri + "/model"
        first = self.client.create_model_version(MODEL, source, run, tags={"checked": "no"}, description="The first.")
        second = self.client.create_model_version(MODEL, source, run, tags={"checked": "yes é"})
        third = self.client.create_model_version(MODEL, logged.artifact_location, run, model_id=logged.model_id)
        with warnings.catch_warnings(action="ignore"):
            self.client.transition_model_version_stage(MODEL, first.version, "Archived")
            self.client.transition_model_version_stage(MODEL, second.version, "Production")
        for alias, version in {"champion": second, "challenger": third, "v-old_1": first}.items():
            self.client.set_registered_model_alias(MODEL, alias, version.version)
        self.client.create_registered_model("empty model")
        self.client.create_registered_model("copies")
        self.client.copy_model_version(f"models:/{MODEL}/2", "copies")
        gone = self.client.create_model_version("copies", source, run)
        self.client.delete_model_version("copies", gone.version)

    def logged_model(self, experiment, run):
        model = self.client.create_logged_model(
            experiment,
            "logged",
            source_run_id=run,
            tags={"kind": "trivial é"},
            params={"depth": "3", "odd name/é": "☃"},
            model_type="tests",
        )
        self.client.log_model_artifacts(model.model_id, self.model_files())
        self.client.log_outputs(run, [LoggedModelOutput(model.model_id, 7)])
        for step in range(3):
            self.client.log_metric(
                run,
                "val/of model",
                0.5 + step / 10,
                timestamp=START + step,
                step=step,
                dataset_name="rows",
                dataset_digest="0a1b2c3d",
                model_id=model.model_id,
            )
        self.client.create_logged_model(experiment, "pending", source_run_id=run)
        failed = self.client.create_logged_model(experiment, "failed", source_run_id=run)
        self.client.finalize_logged_model(failed.model_id, LoggedModelStatus.FAILED)
        gone = self.client.create_logged_model(experiment, "deleted", source_run_id=run)
        self.client.delete_logged_model(gone.model_id)
        return self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


# --- reading it back ---


def plain(value):
    """Return a number as JSON can tell it."""
    return value if math.isfinite(value) else repr(value)


def digest(path):
    content = path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def digests(folder):
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


class Reader:
    """Tells what a client that has written nothing sees of a store."""

    def __init__(self):
        self.client = MlflowClient()

    def read(self):
        experiments = self.client.search_experiments(ViewType.ALL, order_by=["creation_time"])
        models = self.client.search_registered_models(order_by=["name"])
        return {
            "release": mlflow.__version__,
            "experiments": [self.experiment(experiment) for experiment in experiments],
            "registered_models": [self.registered_model(model) for model in models],
        }

    def experiment(self, experiment):
        found = self.client.search_runs(
            [experiment.experiment_id], run_view_type=ViewType.ALL, order_by=["start_time ASC"]
        )
        models = self.client.search_logged_models([experiment.experiment_id])
        return {
            "experiment_id": experiment.experiment_id,
            "name": experiment.name,
            "artifact_location": experiment.artifact_location,
            "lifecycle_stage": experiment.lifecycle_stage,
            "creation_time": experiment.creation_time,
            "last_update_time": experiment.last_update_time,
            "tags": experiment.tags,
            "runs": [self.run(run) for run in found],
            "logged_models": [self.logged_model(model) for model in models],
        }

    def run(self, run):
        info, data = run.info, run.data
        return {
            "run_id": info.run_id,
            "run_name": info.run_name,
            "status": info.status,
            "start_time": info.start_time,
            "end_time": info.end_time,
            "lifecycle_stage": info.lifecycle_stage,
            "user_id": info.user_id,
            "artifact_uri": info.artifact_uri,
            "params": data.params,
            "tags": data.tags,
            "metrics": {name: plain(value) for name, value in data.metrics.items()},
            "history": {name: self.history(info.run_id, name) for name in data.metrics},
            "datasets": [
                {
                    **entry.dataset.to_dictionary(),
                    "tags": {tag.key: tag.value for tag in entry.tags},
                }
                for entry in (run.inputs.dataset_inputs if run.inputs else [])
            ],
            "models_out": [
                {"model_id": model.model_id, "step": model.step}
                for model in (run.outputs.model_outputs if run.outputs else [])
            ],
            "artifacts": self.artifacts(info.run_id),
        }

    def history(self, run, name):
        # Where a line of a file names a dataset, MLflow reads step 0, whatever the line says.
        return [
            {"value": plain(point.value), "step": point.step, "timestamp": point.timestamp}
            for point in self.client.get_metric_history(run, name)
        ]

    def artifacts(self, run, path=None):
        """Return the digests of a run's files by their paths, as the client lists them."""
        found = {}
        for entry in self.client.list_artifacts(run, path):
            if entry.is_dir:
                found |= self.artifacts(run, entry.path)
            else:
                found[entry.path] = digest(Path(self.client.download_artifacts(run, entry.path)))
        return found

    def logged_model(self, model):
        return {
            "model_id": model.model_id,
            "name": model.name,
            "experiment_id": model.experiment_id,
            "source_run_id": model.source_run_id,
            "artifact_location": model.artifact_location,
            "creation_timestamp": model.creation_timestamp,
            "last_updated_timestamp": model.last_updated_timestamp,
            "model_type": model.model_type,
            "status": str(model.status),
            "status_message": model.status_message,
            "tags": model.tags,
            "params": model.params,
            "metrics": [
                {
                    "key": metric.key,
                    "value": plain(metric.value),
                    "step": metric.step,
                    "timestamp": metric.timestamp,
                    "dataset_name": metric.dataset_name,
                    "dataset_digest": metric.dataset_digest,
                    "run_id": metric.run_id,
                }
                for metric in model.metrics or []
            ],
            "artifacts": behind(model.artifact_location),
        }

    def registered_model(self, model):
        versions = self.client.search_model_versions(f"name = '{model.name}'")
        return {
            "name": model.name,
            "description": model.description,
            "creation_timestamp": model.creation_timestamp,
            "last_updated_timestamp": model.last_updated_timestamp,
            "tags": model.tags,
            # A search leaves them out in some releases.
            "aliases": {
                alias: int(version) for alias, version in self.client.get_registered_model(model.name).aliases.items()
            },
            "versions": [
                self.version(version) for version in sorted(versions, key=lambda version: int(version.version))
            ],
        }

    def version(self, version):
        uri = self.client.get_model_version_download_uri(version.name, version.version)
        return {
            "version": int(version.version),
            "description": version.description,
            "creation_timestamp": version.creation_timestamp,
            "last_updated_timestamp": version.last_updated_timestamp,
            "stage": version.current_stage,
            "source": version.source,
            "download_uri": uri,
            "run_id": version.run_id,
            "model_id": version.model_id,
            "status": version.status,
            "tags": version.tags,
            "aliases": self.client.get_model_version(version.name, version.version).aliases,
            "artifacts": behind(uri),
        }


def behind(uri):
    """Return the digests of the files of a model; one that was not finished has none."""
    try:
        return digests(Path(mlflow.artifacts.download_artifacts(uri)))
    except MlflowException:
        return {}


def main(folder, kinds):
    folder = folder.resolve()
    executed = folder / "EXECUTED"
    told = folder / "expected.json"
    expected = json.loads(told.read_text()) if told.exists() else {"root": str(folder), "executed": str(executed)}
    for kind in kinds:
        place = folder / KINDS[kind]
        place.mkdir(parents=True)
        # Without an experiment of its own, a database keeps artifacts where the program runs.
        os.chdir(place)
        if kind == "file":
            place.rmdir()
            os.chdir(folder)
            uri, location = place.as_uri(), f"file://{folder}/elsewhere/odd"
        else:
            uri, location = f"sqlite:///{place}/mlflow.db", str(place / "artifacts of odd")
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        Writer(folder, executed).write(location)
        expected[kind] = {"uri": uri, **Reader().read()}
    told.write_text(json.dumps(expected, indent=1, sort_keys=True, allow_nan=False) + "\n")
    if executed.exists():
        raise SystemExit("the trap was sprung while it was set")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(KINDS))
