"""A made-up run of two seeds, which several files of tests read and none changes."""

from pathlib import Path

import pytest

from pipeline.params.schema import Params, load
from tests.aids import report_fixture as made_up

MISSING = "warm_start-mobilenet_v2-reenactment-c40-s1"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    folder = tmp_path_factory.mktemp("run")
    params = load(made_up.write_params(folder, **{"grid.seeds": [0, 1], "evaluation.bootstrap": 300}))
    made_up.write_cells(folder / "cells", params, skip=[MISSING])
    made_up.write_shards(folder / "shards", params.sets, params.compressions)
    made_up.write_manifests(folder / "raw", folder / "compressed", params)
    return folder, params
