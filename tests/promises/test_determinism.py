"""The same inputs and params give the same shards byte for byte, and on one machine the same metrics.

Slow: clones of the repository through DVC. The sample itself is made as far as its shards.
"""

import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest
import yaml

from pipeline.crops.shards import read_index
from pipeline.reporting import shortcuts
from tests.aids.clone import clone, run
from tests.aids.small import SMALL, Finished

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SUMS = Path(__file__).with_name("sample_shards.sha256")
# OpenCV's conversion to Lab, by which a faceswap takes its target's colours, rounds otherwise without these.
LAB = {"AVX2": 11, "FMA3": 12}  # cv::CpuFeatures
CELL = "mobilenet_v2-faceswap-c40-0"  # in the names of stages
SHARDS = ("data/shards/original", "data/shards/faceswap")
TRAINED = (
    "models/teacher/mobilenet_v2-faceswap-raw-s0/fold0", "models/add/mobilenet_v2-faceswap-c40-s0/fold0",
    "reports/cells/add-mobilenet_v2-faceswap-c40-s0.json", "reports/cells/add-mobilenet_v2-faceswap-c40-s0.parquet",
)  # fmt: skip


def recorded(lock: str) -> dict[str, str]:
    return {out["path"]: out["md5"] for stage in yaml.safe_load(lock)["stages"].values() for out in stage["outs"]}


def outs(lock: str, paths: tuple[str, ...]) -> list[str]:
    """The hash that a dvc.lock records of each out; none is that of the whole sample, which the clone began with."""
    known, found = recorded((ROOT / "dvc.lock").read_text()), recorded(lock)
    assert not any(known.get(path) == found[path] for path in paths)
    return [found[path] for path in paths]


def test_clones_workers_and_ways_to_run_give_the_same_shards(finished: Finished, tmp_path: Path) -> None:
    """`dvc repro` with all cores, `dvc exp run` with two workers in another clone, `--temp` with one in a third."""
    first = outs((finished.folder / "dvc.lock").read_text(), SHARDS)
    other = clone(tmp_path / "another place/add", SMALL | {"workers": 2})
    run(other, "dvc", "exp", "run", "crop")
    assert outs((other / "dvc.lock").read_text(), SHARDS) == first
    third = clone(tmp_path / "third", SMALL | {"workers": 2})
    run(third, "dvc", "exp", "run", "--temp", "-S", "workers=1", "crop")
    refs = run(third, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (made,) = [ref for ref in refs if ref.count("/") > 3 and "stash" not in ref]
    shown = subprocess.run(["git", "show", f"{made}:dvc.lock"], cwd=third, capture_output=True, text=True, check=True)
    assert outs(shown.stdout, SHARDS) == first and not (third / "data/shards").exists()


def test_two_trainings_and_tests_of_one_machine_are_the_same(finished: Finished, tmp_path: Path) -> None:
    """Weights, scores and measures of two threads, though the first ones are gone when the second ones are made."""
    folder = shutil.copytree(finished.folder, tmp_path / "add", symlinks=True)
    stages = f"teacher@mobilenet_v2-faceswap-0 student@add-{CELL}-0 evaluate_student@add-{CELL}".split()
    made = []
    for _ in range(2):
        for stage in stages:
            assert f"Running stage '{stage}'" in run(folder, "dvc", "repro", "--force", "--single-item", stage)
        made.append(outs((folder / "dvc.lock").read_text(), TRAINED))
    assert made[0] == made[1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, as params.yaml has it, as far as its shards."""
    folder = clone(tmp_path_factory.mktemp("sample") / "add", {})
    run(folder, "dvc", "repro", "crop")
    return folder


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another kind of processor rounds otherwise")
def test_the_samples_shards_are_the_known_ones(sample: Path) -> None:
    known = dict(reversed(line.split("  ")) for line in SUMS.read_text().splitlines())
    made = {str(path.relative_to(sample)): path for path in sample.glob("data/shards/*/*.tar")}
    assert made.keys() == known.keys()
    changed = [name for name, path in made.items() if hashlib.sha256(path.read_bytes()).hexdigest() != known[name]]
    if not all(cv2.checkHardwareSupport(number) for number in LAB.values()):
        changed = [name for name in changed if "/faceswap/" not in name]
    assert not changed


def test_the_sample_tells_no_class_without_the_face(sample: Path) -> None:
    """Beside the container, which says in words what is synthetic; forged regions take fewer bits, of little use."""
    data, params = sample / "data", yaml.safe_load((sample / "params.yaml").read_text())
    index = read_index([data / "shards" / name for name in params["sets"]])
    found = shortcuts.measure(data / "raw", data / "compressed", index, ("raw", *params["compressions"]))
    assert len(found) == 2 * 3 * (len(shortcuts.FEATURES) + 1)
    seen = found[found["features"] != shortcuts.CONTAINER]
    assert seen["auc"].max() < 0.65, seen.sort_values("auc").tail()
    for features in ("frames, seconds, rate", "frame size", "encoder", "place and size of the face"):
        assert (seen[seen["features"] == features][["auc", "pairs_right"]] == 0.5).all(axis=None)
    border = seen[seen["features"] == "colour of the crop's border"]
    assert (border["p"] > 0.01).all()
