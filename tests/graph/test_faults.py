"""The real graph, killed with SIGKILL at moments that chance has drawn: it ends as it does undisturbed."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.aids import killing
from tests.aids.clone import clone, run
from tests.aids.small import Finished

# Every stage as it is, on ten people's clips of eight frames: one task, quality and fold.
SMALL = {
    "manipulations": ["faceswap"], "sets": ["original", "faceswap"], "folds": [0], "compressions": ["c40"],
    "split": {"buckets": 2, "validation": 0, "seed": 0}, "sample_source": {"clip_frames": 8, "clips_per_person": 1},
    "sample": {"frames": 3, "seed": 0}, "crop": {"size": 72, "shard_frames": 10},
    "model": {"image_size": 64, "pretrained": True}, "train": {"epochs": 1, "batch_size": 8},
    "forge": {"manipulations": ["faceswap"]}, "ablation": {"methods": []}, "evaluation": {"bootstrap": 100},
    "grid": {"distilled": ["warm_start"], "agnostic": []}, "cross": {"methods": []},
    "stress": {"methods": ["teacher"], "degradations": ["h264-51"], "frames": 2},
}  # fmt: skip
MOMENTS, SEED = 20, 0
# Of these the kill is seen to leave no trace within `make test`: one that decodes, one that packs, one that trains.
FEW = (
    killing.Moment("detect@original", 0.6, "worker"),
    killing.Moment("crop@faceswap", 0.5, "dvc"),
    killing.Moment("teacher@mobilenet_v2-faceswap-0", 0.7, "stage"),
)


@pytest.mark.faults
def test_killed_at_twenty_moments_it_leaves_the_same(tmp_path: Path) -> None:
    whole, killed = (clone(tmp_path / name, SMALL) for name in ("whole", "killed"))
    seconds = killing.repro(whole)
    told = killing.disturbed(killed, killing.draw(seconds, MOMENTS, SEED), seconds)
    assert len(told) == MOMENTS
    same(killing.outs(whole), killing.outs(killed))
    metrics = [json.loads((folder / "reports/metrics.json").read_text()) for folder in (whole, killed)]
    assert metrics[0] == metrics[1] and metrics[0]
    assert "Running stage" not in run(killed, "dvc", "repro")
    nothing_is_left(killed)


@pytest.mark.slow
def test_killed_at_a_few_moments_it_leaves_the_same(finished: Finished) -> None:
    """In a run that is there: stages that run once more, and are killed."""
    before = killing.outs(finished.folder)
    for moment in FEW:
        again = (*killing.REPRO, "--single-item", "--force", "--no-run-cache", moment.stage)
        assert len(killing.disturbed(finished.folder, [moment], finished.seconds, again)) == 1
    same(before, killing.outs(finished.folder))
    nothing_is_left(finished.folder)


STAGE = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
DVC = """
import pathlib, subprocess, sys, time
up = pathlib.Path("up")
if not up.exists():
    shell = subprocess.Popen(["/bin/sh", "-c", f"'{sys.executable}' -m stages.toy up; exit $?"])
    while not up.exists():
        time.sleep(0.01)
    print("Running stage 'toy':", flush=True)
    sys.exit(shell.wait())
"""


def test_a_stage_is_not_taken_for_the_worker_of_the_shell_that_started_it(tmp_path: Path) -> None:
    """Some shells replace themselves by the last command, some stay above it (dash, where SHELL is not set)."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/toy.py").write_text(STAGE)
    (tmp_path / "dvc.py").write_text(DVC)
    moment = killing.Moment("toy", 0, "worker")
    told = killing.disturbed(tmp_path, [moment], {"toy": 0}, (sys.executable, "dvc.py"))
    assert told == ["toy at 0%: stage"]


def same(whole: Mapping[str, str], killed: Mapping[str, str]) -> None:
    """Every byte but the page, which says when it was made."""
    kept = {path: md5 for path, md5 in whole.items() if not path.startswith("reports/report.")}
    assert len(kept) > 15
    assert {path for path in kept if kept[path] != killed.get(path)} == set()
    assert set(killed) == set(whole)


def nothing_is_left(folder: Path) -> None:
    parts = [path for path in folder.rglob("*.part*") if ".dvc" not in path.parts]
    scratch = [path.name for path in (folder / ".scratch").iterdir()]
    assert not parts and not scratch, (parts, scratch)
