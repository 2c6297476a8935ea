"""Two shipped detectors that share a teacher, as ADD and the baseline do."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.serving import shipped as folders
from pipeline.serving.app.detectors import Detectors, load_detectors
from tests.aids.shipping import Run


def beside_a_baseline(run: Run, folder: Path) -> list[Path]:
    """The folders of ADD and of a baseline, which is ADD under another name: it states its backbone as its method."""
    baseline = folder / f"baseline-{run.backbone}-faceswap"
    shutil.copytree(run.detectors, baseline)
    for quality, method in (("raw", "teacher"), ("c40", run.backbone)):
        file = baseline / quality / folders.ABOUT
        file.write_text(json.dumps(json.loads(file.read_text()) | {"name": baseline.name, "method": method}))
        folders.seal(baseline / quality)
    return [baseline, run.detectors]


@pytest.fixture(scope="session")
def both(shipped: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return beside_a_baseline(shipped, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def detectors(both: list[Path]) -> Detectors:
    return load_detectors(both)
