"""The store that MLflow's runs go to: where it is, made whole or not at all, and how long a call of it may take.

MLFLOW_TRACKING_URI is respected; without it, runs go to mlflow.db in the main checkout (DVC_ROOT), so that those of
`dvc exp run --temp` outlive their temporary folder. Look at them with `mlflow ui --backend-store-uri sqlite:///mlflow.db`.

A server that is down or does not answer costs a run seconds: after one call that takes longer than LIMIT the stage goes
on without it. MLFLOW_HTTP_REQUEST_TIMEOUT and MLFLOW_HTTP_REQUEST_MAX_RETRIES, where they are set, allow more.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from pipeline.params.sections import Tracking
from pipeline.work.files import whole

KIND = "mlflow.experimentKind"  # without it, MLflow 3 shows the experiment as one of generative AI
CUSTOM_MODELS = "custom_model_development"
LIMIT = 10.0  # seconds that a call of a server may take
LOCKED = 120.0  # seconds that others may take to create the local store
# MLflow's own are 120 s and 7 retries with growing pauses: 20 minutes for a server that never answers.
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def open_store(settings: Tracking) -> tuple[Any, str, float | None]:
    """A client of the store, the number of the experiment in it, and the seconds that a call may take (None: any).

    Store and experiment are made where they are missing.
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

    # Two processes that create the local store or its experiment at once break each other (8 first starts: 7 failed).
    # A server is asked without the lock: nobody else is to wait for its answer.
    with FileLock(root / "mlflow.db.lock", timeout=LOCKED) if limit is None else nullcontext():
        local = urlsplit(uri).scheme == "sqlite"
        if local:
            _make(uri)
        where = None if given else (root / "mlartifacts").as_uri()
        try:
            client = MlflowClient(uri)
            return client, within(limit, lambda: _experiment(client, settings.experiment, where)), limit
        except Exception as error:
            if local and "already exists" in str(error):  # by a program that makes it in place, such as mlflow ui
                raise RuntimeError(f"{uri} was not made, or upgraded, to its end: move that file away") from error
            raise


def _make(uri: str) -> None:
    """Make the file of an SQLite store where there is none, whole or not at all.

    MLflow makes its tables in dozens of steps and cannot go on after some of them: a store whose making was killed
    would fail every later run ("table secrets already exists").
    """
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.engine import make_url

    address = make_url(uri)
    if not address.database or address.database.startswith((":memory:", "file:")) or Path(address.database).exists():
        return
    with whole(Path(address.database)) as part:
        made = address.set(database=str(part)).render_as_string()
        SqlAlchemyStore(made, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()


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


def within(seconds: float | None, call: Callable[[], Any]) -> Any:
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
