"""MLflow: one run for each training and each evaluation. A tracker that fails warns, and never fails a stage.

MLFLOW_TRACKING_URI is respected; without it, runs go to mlflow.db in the main checkout (DVC_ROOT), so that those of
`dvc exp run --temp` outlive their temporary folder. Look at them with `mlflow ui --backend-store-uri sqlite:///mlflow.db`.

A server that is down or does not answer costs a run seconds: after one call that takes longer than LIMIT the stage goes
on without it. MLFLOW_HTTP_REQUEST_TIMEOUT and MLFLOW_HTTP_REQUEST_MAX_RETRIES, where they are set, allow more.
"""

import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from pipeline.params.sections import Tracking

BATCH = 1000  # MLflow's limit of metrics in one call
PARAMETERS = 100  # and of params
KIND = "mlflow.experimentKind"  # without it, MLflow 3 shows the experiment as one of generative AI
CUSTOM_MODELS = "custom_model_development"
LIMIT = 10.0  # seconds that a call of a server may take
LOCKED = 120.0  # seconds that others may take to create the local store
# MLflow's own are 120 s and 7 retries with growing pauses: 20 minutes for a server that never answers.
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


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
            _within(self._limit, lambda: call(self._id, *arguments, **options))
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

        client, number, limit = store(settings)
        labels = {**tags, "git_commit": _git("rev-parse", "HEAD"), "dvc_experiment": os.environ.get("DVC_EXP_NAME", "")}
        run = Run(client, _within(limit, lambda: client.create_run(number, run_name=name).info.run_id), limit)
        entries = [Param(key, str(value)) for key, value in flat(params)]
        run._call("log_batch", tags=[RunTag(key, str(value)) for key, value in labels.items()])
        for start in range(0, len(entries), PARAMETERS):
            run._call("log_batch", params=entries[start : start + PARAMETERS])
        return run
    except Exception as error:
        warn(error)
        return Run()


def store(settings: Tracking) -> tuple[Any, str, float | None]:
    """A client of the store, the experiment's number, both made where they are missing, and seconds a call may take.

    Raises: ConnectionError, TimeoutError, and whatever MLflow does.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # they tell of every table of a new store
    logging.getLogger("mlflow.store").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what we tell in a line
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    given = os.environ.get("MLFLOW_TRACKING_URI")
    # By a relative path: one with a ? or a % would mean something else in an address.
    uri = given or f"sqlite:///{os.path.relpath(root / 'mlflow.db')}"
    limit = _limit(uri)
    _greet(uri)
    from mlflow import MlflowClient

    # Two processes that create the local store or its experiment at once break each other (8 first starts: 7
    # failed). Nobody waits for a server with the lock in his hands.
    with FileLock(root / "mlflow.db.lock", timeout=LOCKED) if limit is None else nullcontext():
        client = MlflowClient(uri)
        where = None if given else (root / "mlartifacts").as_uri()
        return client, _within(limit, lambda: _experiment(client, settings.experiment, where)), limit


def _experiment(client: Any, name: str, where: str | None) -> str:
    """The number of the experiment, made if there is none. where: its artifacts lie."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, where, tags={KIND: CUSTOM_MODELS}))
        except Exception:  # somebody else has made it meanwhile
            if (found := client.get_experiment_by_name(name)) is None:
                raise
    if not found.tags.get(KIND):
        client.set_experiment_tag(found.experiment_id, KIND, CUSTOM_MODELS)
    return str(found.experiment_id)


def _limit(uri: str) -> float | None:
    """Seconds that a call may take; None for a store on this machine, which takes what it takes."""
    if urlsplit(uri).scheme in ("", "file", "sqlite"):
        return None
    for variable, value in PATIENCE.items():
        os.environ.setdefault(variable, value)
    try:
        timeout, retries = (float(os.environ[variable]) for variable in PATIENCE)
    except ValueError:  # MLflow will say so
        return LIMIT
    return max(LIMIT, timeout * (retries + 1))


def _greet(uri: str) -> None:
    """Find out soon whether anybody is there: any answer at all will do. Raises: ConnectionError."""
    if not uri.startswith(("http://", "https://")):
        return
    timeout = float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    try:
        requests.get(uri, timeout=timeout, allow_redirects=False, stream=True).close()
    except requests.exceptions.SSLError:
        pass  # an answer; MLflow knows which certificates are meant
    except requests.RequestException as error:
        slow = isinstance(error, requests.Timeout)
        where = urlsplit(uri)._replace(netloc=urlsplit(uri).netloc.rpartition("@")[2]).geturl()  # no password in a log
        raise ConnectionError(f"{where} {f'says nothing for {timeout:g} s' if slow else 'is not there'}") from error


def _within(seconds: float | None, call: Callable[[], Any]) -> Any:
    """What `call` gives. Raises: TimeoutError where it takes longer; it is then left to itself."""
    if seconds is None:
        return call()
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()  # a daemon, or a hanging call would keep the process alive
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


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
