"""What all tests share: one thread, scratch folders of their own, params parsed once, a cluster of two local nodes."""

import atexit
import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from pipeline.params import schema
from pipeline.videos import reading
from tests.aids.asked import Asked
from tests.aids.clone import clone
from tests.aids.killing import repro
from tests.aids.parsed import PARSED
from tests.aids.small import SMALL, Finished

# The same examples in every run, and none kept: a test fails today as it will tomorrow.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40, database=None)
settings.load_profile("repeatable")

# Before torch is loaded: toys gain nothing from more threads, and on a shared machine they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # where tests load onnxruntime themselves
os.environ["DVC_NO_ANALYTICS"] = "1"  # else each dvc of a toy repository starts a process that tells its makers

# Until all is loaded: it stays, and else the collector walks through torch and all of it again and again, for seconds.
gc.disable()
atexit.register(gc.unfreeze)  # or libraries complain of what was never freed


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        for name in ("no_proxy", "NO_PROXY"):  # the servers of tests are on this machine, whoever serves the others
            patch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))))
        yield


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """The same text of params is parsed once: hundreds of tests read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "READER", PARSED)
        yield


@pytest.fixture(scope="session", autouse=True)
def asked_once() -> Iterator[None]:
    """ffmpeg is asked once what the packets of the same file are: tests want to know thirteen hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "ask", Asked())
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One finished run of the small graph for all slow tests that need one; who changes its results takes a copy."""
    folder = clone(tmp_path_factory.mktemp("clone") / "add", SMALL)
    return Finished(folder, repro(folder))


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two local nodes of a Ray cluster, of one core each."""
    utils = pytest.importorskip("ray.cluster_utils", reason="ray, the extra `cluster`, is not installed")
    ones = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = utils.Cluster(initialize_head=True, head_node_args=ones)
    try:
        made.add_node(num_cpus=1, object_store_memory=80_000_000)
        yield made
    finally:
        made.shutdown()
