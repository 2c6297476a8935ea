"""MLflow: one run for each training and each evaluation. A tracker that fails warns, and never fails a stage.

MLFLOW_TRACKING_URI is respected; without it, runs go to mlflow.db in the main checkout (DVC_ROOT), so that those of
`dvc exp run --temp` outlive their temporary folder. Look at them with `mlflow ui --backend-store-uri sqlite:///mlflow.db`.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.params.schema import Tracking

BATCH = 1000  # MLflow's limit of metrics in one call
PARAMETERS = 100  # and of params


class Run:
    """An open MLflow run, or nothing at all where tracking is off or has failed."""

    def __init__(self, client: Any = None, run_id: str = "") -> None:
        self._client, self._id = client, run_id

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step; those that are no finite number are left out."""
        if not self._client:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, step) for name, value in values.items() if value == value]
        with self._harmless():
            for start in range(0, len(entries), BATCH):
                self._client.log_batch(self._id, metrics=entries[start : start + BATCH])

    def end(self, status: str) -> None:
        if self._client:
            with self._harmless():
                self._client.set_terminated(self._id, status)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._client = None
            warn(error)


@contextmanager
def track(settings: Tracking, name: str, params: Mapping[str, Any], tags: Mapping[str, object]) -> Iterator[Run]:
    """A run named `name` with params (nested ones by dotted names) and tags; commit and experiment are added."""
    run = _start(settings, name, params, tags) if settings.enabled else Run()
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")


def _start(settings: Tracking, name: str, params: Mapping[str, Any], tags: Mapping[str, object]) -> Run:
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag

        uri, number = store(settings)
        client = MlflowClient(uri)
        labels = {**tags, "git_commit": _git("rev-parse", "HEAD"), "dvc_experiment": os.environ.get("DVC_EXP_NAME", "")}
        run_id = client.create_run(number, run_name=name).info.run_id
        entries = [Param(key, str(value)) for key, value in flat(params)]
        client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in labels.items()])
        for start in range(0, len(entries), PARAMETERS):
            client.log_batch(run_id, params=entries[start : start + PARAMETERS])
        return Run(client, run_id)
    except Exception as error:
        warn(error)
        return Run()


def store(settings: Tracking) -> tuple[str, str]:
    """The address of the store and the experiment's id, both made where they are missing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # they tell of every table of a new store
    logging.getLogger("mlflow.store").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
    # Two processes that create the store or the experiment at once break each other (8 first starts: 7 failed).
    with FileLock(root / "mlflow.db.lock"):
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(settings.experiment)
        where = None if "MLFLOW_TRACKING_URI" in os.environ else (root / "mlartifacts").as_uri()
        number = experiment.experiment_id if experiment else client.create_experiment(settings.experiment, where)
    return uri, str(number)


def flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested params as (dotted name, value)."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def warn(error: Exception) -> None:
    print(f"tracking: MLflow failed, the stage goes on without it: {str(error).splitlines()[0]}", file=sys.stderr)


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip()
