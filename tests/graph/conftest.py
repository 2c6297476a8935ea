"""One finished run of the small graph for all tests of this room that need one."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.aids.clone import clone
from tests.aids.killing import repro


class Finished(NamedTuple):
    """folder: of the clone; seconds: that each stage took."""

    folder: Path
    seconds: dict[str, float]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    from tests.graph.test_end_to_end import SMALL

    folder = clone(tmp_path_factory.mktemp("clone") / "add", SMALL)
    return Finished(folder, repro(folder))
