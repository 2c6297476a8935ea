"""Per-video work as tasks of an existing Ray cluster whose nodes see this folder at the same path.

One task a video, so where work is divided follows from the data; a task whose node is lost runs again elsewhere.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.work.errors import UserError

Result = TypeVar("Result")
INSTALL = "install the extra with `uv pip install -e '.[cluster]'` (or `pip install 'ray>=2.40'`) on every node"
LOST = 5  # times a video may lose its node before the run stops: more often, it is the video that ends workers


def run(
    calls: Sequence[Callable[[], Result]], address: str, environment: dict[str, str], ahead: int, what: str
) -> Iterator[Result]:
    """Yield call() of each, in order, worked out on the cluster; `ahead` are handed out per core at once.

    address: auto, or that of the cluster's head. environment: variables set for the workers.
    Raises: UserError where Ray is not installed, the cluster does not answer, or a node does not see this folder.
    """
    try:
        import ray
    except ImportError:
        raise UserError(f"params.yaml: cluster.address is {address}, but Ray is not installed: {INSTALL}") from None
    here = Path.cwd()
    job = {"env_vars": environment | {"PYTHONPATH": str(here)}}
    try:
        ray.init(address=address, runtime_env=job, logging_level="error", log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"params.yaml: cluster.address: no Ray cluster answers at {address} ({reason})") from None
    try:
        work = ray.remote(num_cpus=1, max_retries=LOST)(_on_node)
        most = max(1, int(ray.cluster_resources().get("CPU", 1))) * ahead
        waiting: deque[Any] = deque()
        for call in calls:
            waiting.append(work.remote(call, str(here)))
            if len(waiting) >= most:
                yield _result(ray.get(waiting.popleft()))
        while waiting:
            yield _result(ray.get(waiting.popleft()))
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
    return call()


def _result(result: Result | UserError) -> Result:
    if isinstance(result, UserError):
        raise result
    return result
