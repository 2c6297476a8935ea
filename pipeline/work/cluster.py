"""Work as tasks of an existing Ray cluster whose nodes see this folder at the same path.

Videos: one task each, so where work is divided follows from the data. Stages that compute with a network: the whole of
one is a task. A task whose node is lost runs again elsewhere.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pipeline.work.errors import UserError

Result = TypeVar("Result")
INSTALL = "install the extra with `uv pip install -e '.[cluster]'` (or `pip install 'ray>=2.40'`) on every node"
LOST = 5  # times a task may lose its node before the run stops: more often, it is the task that ends workers
PASSED_ON = ("DVC_", "MLFLOW_", "ADD_", "OMP_NUM_THREADS")  # of this process's variables, those that a stage reads


def run(
    calls: Sequence[Callable[[], Result]], address: str, environment: dict[str, str], ahead: int, what: str
) -> Iterator[Result]:
    """Yield call() of each, in order, worked out on the cluster; `ahead` are handed out per core at once.

    address: auto, or that of the cluster's head. environment: variables set for the workers.
    Raises: UserError where Ray is not installed, the cluster does not answer, or a node does not see this folder.
    """
    with _connected(address, environment, what) as ray:
        work = ray.remote(num_cpus=1, max_retries=LOST)(_on_node)
        most = max(1, int(ray.cluster_resources().get("CPU", 1))) * ahead
        waiting: deque[Any] = deque()
        for call in calls:
            waiting.append(work.remote(call, str(Path.cwd())))
            if len(waiting) >= most:
                yield _result(ray.get(waiting.popleft()))
        while waiting:
            yield _result(ray.get(waiting.popleft()))


def run_stage(call: Callable[[], Result], address: str, per_gpu: int, what: str) -> Result:
    """call(), worked out by the cluster on one of its GPUs, which `per_gpu` tasks share, or on a core of it.

    What it prints is shown here. Raises: as `run`, and what the call itself raises.
    """
    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    with _connected(address, environment, what, shown=True) as ray:
        gpu = int(10_000 / per_gpu) / 10_000 if ray.cluster_resources().get("GPU") else 0  # Ray counts in 1/10,000
        work = ray.remote(num_cpus=1, num_gpus=gpu, max_retries=LOST)(_on_node)
        return _result(ray.get(work.remote(call, str(Path.cwd()))))


def places(address: str, per_gpu: int) -> int:
    """How many stages that compute with a network the cluster takes at a time: by its GPUs, or else its cores."""
    with _connected(address, {}, "jobs") as ray:
        there = ray.cluster_resources()
        return max(1, int(there.get("GPU", 0)) * per_gpu or int(there.get("CPU", 1)))


@contextmanager
def _connected(address: str, environment: dict[str, str], what: str, shown: bool = False) -> Iterator[Any]:
    """The module ray, connected to the cluster. shown: pass on what tasks print."""
    try:
        import ray
    except ImportError:
        raise UserError(f"params.yaml: cluster.address is {address}, but Ray is not installed: {INSTALL}") from None
    job = {"env_vars": environment | {"PYTHONPATH": str(Path.cwd())}}
    try:
        ray.init(address=address, runtime_env=job, logging_level="error", log_to_driver=shown)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"params.yaml: cluster.address: no Ray cluster answers at {address} ({reason})") from None
    try:
        yield ray
    except ray.exceptions.RayTaskError:
        raise  # the task's own error
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{what}: the Ray cluster gave up ({reason}); what is done is kept: run again") from error
    finally:
        ray.shutdown()


def _on_node(call: Callable[[], Result], folder: str) -> Result | UserError:
    try:
        os.chdir(folder)
    except OSError:
        return UserError(
            f"{folder}: not seen by the cluster's node {socket.gethostname()}: use a shared file system, mounted alike"
        )
    try:
        return call()
    except UserError as error:
        return error  # raised, it would come back with its traceback as its words


def _result(result: Result | UserError) -> Result:
    if isinstance(result, UserError):
        raise result
    return result
