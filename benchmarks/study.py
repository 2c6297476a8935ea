"""The study of docs/study.md: settings are chosen on validation people, then each method is tested once.

After `make preset NAME=study`, folder.path set, and `dvc repro crop`, in the environment:

    python -m benchmarks.study tune add_chosen fitnet        # 3 folds x 2 tasks for each try; the choices are printed
    python -m benchmarks.study train baseline warm_start add # of benchmarks/study.yaml, 3 folds x 2 tasks each
    python -m benchmarks.study test                          # test people, through all that is trained
    python -m benchmarks.study_tables docs/figures/study.png # tables and the figure

Each training is the stage's own command under a params.yaml with the setting in it; what is done is kept in study/ and
not done again. Fold k tests bucket k. Tuning trains on bucket k + 2 and validates on bucket k + 1, so no choice has
seen the fold's test people; the tested models train on both.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ruamel.yaml import YAML

from pipeline.detectors.card import SUMMARY
from pipeline.params.cells import BASELINE, RAW, TEACHER
from pipeline.params.schema import READER, load
from pipeline.work import warm

ROOT = Path.cwd()
WORK = ROOT / "study"
PLAN = READER.load((ROOT / "benchmarks/study.yaml").read_text())
PARAMS = load()
BACKBONE, COMPRESSION = PARAMS.grid.backbones[0], "c40"
STAGES = {TEACHER: "classifier", BASELINE: "classifier", "mixed": "agnostic"}
INNER = {"split.validation": 1, "train.validations_per_epoch": 1}  # of a fold's training people, one bucket validates


@dataclass(frozen=True)
class Training:
    """One model of one fold. place: of its models below study/; settings: what differs from params.yaml."""

    place: str
    method: str
    settings: dict[str, Any]
    task: str
    fold: int
    seed: int = 0

    @property
    def out(self) -> Path:
        return WORK / self.place / f"{self.task}-s{self.seed}" / f"fold{self.fold}"

    @property
    def folder(self) -> Path:
        """Where it runs: of its params.yaml."""
        return self.out.with_suffix(".run")

    def run(self, told: dict[str, str]) -> None:
        quality = {TEACHER: RAW, "mixed": "all"}.get(self.method, COMPRESSION)
        of = ("--method", self.method, "--backbone", BACKBONE, "--manipulation", self.task, "--compression", quality)
        command = [f"stages.{STAGES.get(self.method, 'student')}", *of, "--seed", str(self.seed)]
        command += ["--fold", str(self.fold), "--shards", str(ROOT / "data/shards"), "--out", str(self.out)]
        if self.method not in STAGES:
            inner = "tuning/" if self.place.startswith("tuning/") else ""
            command += ["--teacher", str(Training(f"{inner}{TEACHER}", TEACHER, {}, self.task, self.fold).out)]
        stage(command, self.folder, told)


def stage(command: list[str], here: Path, told: dict[str, str]) -> None:
    """Run a stage's command in the folder of its params.yaml; its output goes into log.txt there."""
    with (here / "log.txt").open("w") as log:
        environment = os.environ | told | {"DVC_ROOT": str(WORK)}
        subprocess.run([sys.executable, "-m", *command], cwd=here, env=environment, stdout=log, stderr=log, check=True)
    print((here / "log.txt").read_text().splitlines()[-1], flush=True)


def write_params(settings: dict[str, Any], path: Path) -> None:
    values = READER.load((ROOT / "params.yaml").read_text())
    for key, value in settings.items():
        *sections, name = key.split(".")
        section = values
        for part in sections:
            section = section[part]
        section[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    YAML().dump(values, path)
    load(path)  # refuses what the schema does not know


def everywhere(place: str, method: str, settings: Any, seed: int = 0) -> list[Training]:
    """Of every fold and task; settings: for all, or a list of one a fold."""
    by_fold = settings if isinstance(settings, list) else [settings] * len(PARAMS.folds)
    pairs = [(task, fold) for fold in PARAMS.folds for task in PARAMS.manipulations]
    return [Training(place, method, by_fold[fold], task, fold, seed) for task, fold in pairs]


def inner(name: str) -> list[list[Training]]:
    """The trainings of each try of a tuned method."""
    group = PLAN["tuned"][name]
    return [
        everywhere(f"tuning/{name}-{number}", group["method"], INNER | tried)
        for number, tried in enumerate(group["tries"])
    ]


def validated(training: Training) -> float:
    """AUC per frame on the fold's validation people, after the last epoch."""
    return float(json.loads((training.out / SUMMARY).read_text())["measures"]["val_auc"])


def choices(name: str) -> list[dict[str, Any]]:
    """Each fold's try with the highest validation AUC, mean of the tasks; the first of equals.

    Of the leading tries that are done in every fold and task: those that time did not allow are left out unseen.
    """
    done = [all(training.out.is_dir() for training in group) for group in inner(name)]
    tries, found = inner(name)[: [*done, False].index(False)], []
    if not tries:
        raise SystemExit(f"{name}: no try is done: python -m benchmarks.study tune {name}")
    for fold in PARAMS.folds:
        values = [fmean(validated(t) for t in group if t.fold == fold) for group in tries]
        best = values.index(max(values))
        print(f"{name} fold {fold}: {' '.join(f'{value:.3f}' for value in values)} -> try {best}")
        found.append(PLAN["tuned"][name]["tries"][best])
    return found


def tested(name: str, seed: int = 0) -> list[Training]:
    entry = PLAN["tested"][name]
    method, settings = entry.get("method"), entry.get("settings", {})
    if "tuned" in entry:
        method, settings = PLAN["tuned"][entry["tuned"]]["method"], choices(entry["tuned"])
    if "recipe_of" in entry:
        ours, theirs = f"distill.{method}.train.", f"{PLAN['tuned'][entry['recipe_of']]['method']}.train."
        settings = [
            {key.replace(theirs, ours): value for key, value in chosen.items() if key.startswith(theirs)}
            for chosen in choices(entry["recipe_of"])
        ]
    return everywhere(name, method, settings, seed)


def run(trainings: list[Training], jobs: int, told: dict[str, str]) -> None:
    trainings = [training for training in trainings if not training.out.is_dir()]
    for training in trainings:
        write_params(training.settings, training.folder / "params.yaml")
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda training: training.run(told), trainings))


def score(jobs: int, told: dict[str, str]) -> None:
    """Test every method that all folds are trained of: study/scores/<name>-<task>-s<seed>.parquet, and .json."""

    names = [TEACHER, *PLAN["tested"]]
    folders = [folder for name in names for folder in sorted((WORK / name).glob("*-s*"))]
    whole = [folder for folder in folders if all((folder / f"fold{fold}").is_dir() for fold in PARAMS.folds)]
    todo = {WORK / "scores" / f"{folder.parent.name}-{folder.name}": folder for folder in whole}
    todo = {out: folder for out, folder in todo.items() if not out.with_suffix(".parquet").exists()}
    for out in todo:
        few = {"evaluation.bootstrap": 100}  # its intervals are not used: study_tables draws for all methods together
        write_params(few, out.with_suffix(".run") / "params.yaml")

    def one(out: Path) -> None:
        command = ["stages.evaluate", "--model", str(todo[out]), "--shards", str(ROOT / "data/shards")]
        stage([*command, "--out", str(out)], out.with_suffix(".run"), told)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "train", "test"])
    parser.add_argument("names", nargs="*", help="of benchmarks/study.yaml; none: all")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the tested models; teachers keep seed 0")
    arguments = parser.parse_intermixed_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONPATH"] = str(ROOT)  # stages run in folders of their own
    with warm.server({}) as told:
        if arguments.what == "test":
            score(arguments.jobs, told)
        elif arguments.what == "tune":
            run(everywhere(f"tuning/{TEACHER}", TEACHER, INNER), arguments.jobs, told)
            for name in arguments.names or PLAN["tuned"]:
                run([training for tried in inner(name) for training in tried], arguments.jobs, told)
                choices(name)
        else:
            run(everywhere(TEACHER, TEACHER, {}), arguments.jobs, told)
            for name in arguments.names or PLAN["tested"]:
                run(tested(name, arguments.seed), arguments.jobs, told)


if __name__ == "__main__":
    main()
