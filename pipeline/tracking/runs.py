"""MLflow: one run for each training and each evaluation. A tracker that fails warns, and never fails a stage."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline.params.sections import Tracking
from pipeline.tracking.store import open_store, within

BATCH = 1000  # MLflow's limit of metrics in one call
PARAMETERS = 100  # and of params


class Run:
    """An open MLflow run, or nothing at all where tracking is off or has failed. limit: seconds a call may take."""

    def __init__(self, client: Any = None, run_id: str = "", limit: float | None = None) -> None:
        self._client, self._id, self._limit = client, run_id, limit

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step; those that are no finite number are left out."""
        if not self._client:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, step) for name, value in values.items() if math.isfinite(value)]
        for start in range(0, len(entries), BATCH):
            self._call("log_batch", metrics=entries[start : start + BATCH])

    def end(self, status: str) -> None:
        self._call("set_terminated", status)

    def _call(self, method: str, *arguments: object, **options: object) -> None:
        if not self._client:
            return
        call = getattr(self._client, method)
        try:
            within(self._limit, lambda: call(self._id, *arguments, **options))
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
        from mlflow.entities import Param, RunTag

        client, number, limit = open_store(settings)
        labels = {**tags, "git_commit": _git("rev-parse", "HEAD"), "dvc_experiment": os.environ.get("DVC_EXP_NAME", "")}
        run = Run(client, within(limit, lambda: client.create_run(number, run_name=name).info.run_id), limit)
        entries = [Param(key, str(value)) for key, value in flat(params)]
        run._call("log_batch", tags=[RunTag(key, str(value)) for key, value in labels.items()])
        for start in range(0, len(entries), PARAMETERS):
            run._call("log_batch", params=entries[start : start + PARAMETERS])
        return run
    except Exception as error:
        warn(error)
        return Run()


def flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested params as (dotted name, value)."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def warn(error: Exception) -> None:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    print(f"tracking: MLflow failed, the stage goes on without it: {reason}", file=sys.stderr, flush=True)


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip()
