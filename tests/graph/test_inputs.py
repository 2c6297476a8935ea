"""dvc.yaml against what stages read: a changed number, shard or teacher runs again whatever was made from it."""

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.detectors import card
from pipeline.params import schema
from pipeline.params.schema import Params
from pipeline.params.sources import Section
from tests.aids import coded
from tests.aids.coded import Watching
from tests.aids.report_fixture import write_params

ROOT = Path(__file__).parents[2]
GRAPH: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ADD = {"student", "ablation", "student_pooled"}
POOLED = {"teacher_pooled", "baseline_pooled", "student_pooled"}
TRAININGS = {"teacher", "baseline", "student", "distilled", "ablation", "agnostic"} | POOLED
EVALUATIONS = {name for name in GRAPH if name.startswith("evaluate_")}
ELSEWHERE = {"elsewhere", "stress", "cross"}  # test all models at once
EXPORTS = {"export", "export_raw"}
# Params that change no result: where things run, how they are followed, what is worth a name.
NEUTRAL = ("cluster", "jobs", "loader", "tracking", "workers")


def listed(stage: dict[str, Any]) -> set[str]:
    """The params that a stage names, `*` for all of them; of a templated key what stands before the template."""
    names = {param if isinstance(param, str) else "*" for param in stage.get("params", [])}
    return {re.sub(r"\.\$\{.*", "", name) for name in names}


def stages_of(key: str) -> set[str]:
    """Those that run again where this number changes, but for the report, which prints every one."""
    return {
        name
        for name, stage in GRAPH.items()
        if any(key == param or key.startswith(f"{param}.") or param.startswith(f"{key}.") for param in listed(stage))
    }


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("alpha", ADD), ("beta", ADD), ("add.frequency.gamma", ADD), ("add.multiview.directions", ADD),
        ("add.train", ADD), ("distill", {"distilled"}), ("agnostic", {"agnostic"}),
        ("baselines", {"baseline", "baseline_pooled"}), ("teacher.train", {"teacher", "teacher_pooled"}),
        ("teacher.seed", {"teacher", "teacher_pooled", "explain"} | ELSEWHERE),
        ("train.lr", TRAININGS), ("train.weight_decay", TRAININGS), ("model.pretrained", TRAININGS),
        ("model.image_size", TRAININGS), ("split.validation", TRAININGS | {"download"}),
        ("split.buckets", TRAININGS | {"download", "degrade"}), ("split.seed", {"download"}),
        ("pooled.sets", POOLED | {"cross", "elsewhere", "stress"}),
        ("forge.seed", {"forge"}), ("forge.per_target", {"forge"}), ("forge.face_width", {"forge"}),
        ("crf", {"compress"} | EXPORTS), ("sample.frames", {"sample"}), ("sample.seed", {"sample"}),
        ("faces.enlarge", {"detect"} | EXPORTS), ("faces.max_side", {"landmarks", "detect"} | EXPORTS),
        ("crop.size", {"crop", "degrade", "elsewhere"} | EXPORTS), ("crop.shard_frames", {"crop", "degrade"}),
        ("evaluation.seed", EVALUATIONS | ELSEWHERE), ("stress.seed", {"degrade", "stress"}),
        ("stress.frames", {"degrade", "stress"}), ("verdict", EXPORTS),
        ("folds", EVALUATIONS | ELSEWHERE | EXPORTS | {"degrade", "explain"}),
    ],
)  # fmt: skip
def test_a_changed_number_runs_these_stages_again(key: str, stages: set[str]) -> None:
    assert stages_of(key) == stages


@pytest.mark.parametrize("name", sorted(set(GRAPH) - {"report"}))
def test_every_path_on_a_command_line_is_a_dep_or_an_out(name: str) -> None:
    """An input is a dep, or a folder of deps; whatever else is spelled there is an out."""
    stage = GRAPH[name]
    deps, outs = [str(dep) for dep in stage["deps"]], [str(out) for out in stage.get("outs", [])]
    for word in stage["cmd"].split():
        if word.startswith(("data/", "models/", "reports/")) or word in ("data", "models"):
            made = any(out == word or out.startswith(f"{word}.") for out in outs)
            read = any(
                dep == word or dep.startswith((f"{word}/", f"{word}.")) or word.startswith(f"{dep}/") for dep in deps
            )
            assert made or read, f"{name}: {word} is neither"


@pytest.mark.parametrize("name", sorted(TRAININGS | EVALUATIONS))
def test_trainings_and_tests_depend_on_the_shards_that_they_read(name: str) -> None:
    deps = set(GRAPH[name]["deps"])
    pooled = "pooled" in name
    assert ("data/shards" in deps) if pooled else {"data/shards/original", "data/shards/${item.manipulation}"} <= deps


def test_a_new_teacher_runs_its_students_again_and_a_new_model_its_test() -> None:
    teacher = "models/teacher/${item.backbone}-${item.manipulation}-raw-s${teacher.seed}/fold${item.fold}"
    assert {teacher} == set(GRAPH["teacher"]["outs"])
    assert {name for name, stage in GRAPH.items() if teacher in stage["deps"]} == ADD | {"distilled"}
    for name in ADD | {"distilled"}:
        assert f"--teacher {teacher}" in GRAPH[name]["cmd"]
    for name in EVALUATIONS:
        (model,) = re.findall(r"--model (\S+)", GRAPH[name]["cmd"])
        assert model in GRAPH[name]["deps"], name


# ---------------------------------------------------------------- what stages really read

SMALL = {
    "model": {"image_size": coded.SIZE, "pretrained": True}, "crop.size": coded.STORED, "split.validation": 1,
    "train.freeze_stages": 0, "train.epochs": 1, "train.batch_size": 4, "train.validations_per_epoch": 1,
    "train.select": "best", "tracking.enabled": False, "evaluation.bootstrap": 100, "pooled.tasks": ["all"],
}  # fmt: skip


# Every training asks whether its task is a pooled one: which tasks are is a matter of the matrix. And it looks up the
# compressions, which a quality-agnostic model alone is trained on.
ASKED = {"pooled.tasks", "compressions"}


class Reads:
    """The params that are read of those that `load` gives from here on, as dotted keys."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: set[str] = set()
        self._sections: dict[int, tuple[str, Section]] = {}
        plain, load = Section.__getattribute__, schema.load
        sections = self._sections

        def noted(section: Section, name: str) -> Any:
            value = plain(section, name)
            if (known := sections.get(id(section))) and known[1] is section:
                if name in ("model_dump", "model_copy"):
                    self.keys.add(known[0])
                elif name in type(section).model_fields and not self._holds_sections(value):
                    self.keys.add(f"{known[0]}.{name}".lstrip("."))
            return value

        def loaded(*path: Any) -> Params:
            params = load(*path)
            self._know("", params)
            return params

        monkeypatch.setattr(Section, "__getattribute__", noted)
        monkeypatch.setattr(schema, "load", loaded)
        self.load = loaded

    @staticmethod
    def _holds_sections(value: Any) -> bool:
        return isinstance(value, Section) or (
            isinstance(value, dict) and bool(value) and all(isinstance(one, Section) for one in value.values())
        )

    def _know(self, prefix: str, section: Section) -> None:
        self._sections[id(section)] = prefix, section
        for name, value in vars(section).items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            for key, part in parts:
                if isinstance(part, Section):
                    self._know(".".join(filter(None, (prefix, name, key))), part)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Shards whose crops tell what they are, and a teacher."""
    folder = tmp_path_factory.mktemp("clone")
    coded.write_shards(folder / "shards")
    for task in ("faceswap", "all"):
        about = {"method": "teacher", "backbone": "mobilenet_v2", "manipulation": task, "quality": "raw", "seed": 0}
        about |= {"fold": 0, "buckets": {"train": ["b2"], "val": ["b1"], "test": ["b0"]}, "image_size": coded.SIZE}
        where = folder / f"models/teacher/mobilenet_v2-{task}-raw-s0/fold0"
        where.mkdir(parents=True)
        card.save(Watching(), card.Card.model_validate(about | {"mean": 0.5, "std": 0.5}), where)
        (where / card.SUMMARY).write_text("{}")
        pd.DataFrame({"step": [1]}).to_csv(where / card.HISTORY, index=False)
    yield folder


TRAINED = [
    ("teacher", "classifier", "teacher", "faceswap", "raw"),
    ("baseline", "classifier", "baseline", "faceswap", "c40"),
    ("student", "student", "add", "faceswap", "c40"),
    ("distilled", "student", "at", "faceswap", "c40"),
    ("ablation", "student", "add_fr", "faceswap", "c40"),
    ("agnostic", "agnostic", "qad", "faceswap", "all"),
    ("teacher_pooled", "classifier", "teacher", "all", "raw"),
    ("student_pooled", "student", "add", "all", "c40"),
]


@pytest.mark.parametrize(("stage", "script", "method", "task", "quality"), TRAINED)
def test_a_training_reads_no_number_that_it_does_not_name(
    clone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    script: str,
    method: str,
    task: str,
    quality: str,
) -> None:
    names = {"method": method, "backbone": "mobilenet_v2", "manipulation": task, "compression": quality}
    paths = {"shards": clone / "shards", "out": tmp_path / "out"}
    paths["teacher"] = clone / f"models/teacher/mobilenet_v2-{task}-raw-s0/fold0"
    found = read(stage, script, argparse.Namespace(**names, **paths, seed=0, fold=0), tmp_path, monkeypatch)
    assert {"train", "model.image_size"} <= found


def test_a_test_reads_no_number_that_it_does_not_name(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = clone / "models/teacher/mobilenet_v2-faceswap-raw-s0"
    arguments = argparse.Namespace(model=model, shards=clone / "shards", out=tmp_path / "cell")
    assert "evaluation.seed" in read("evaluate_teacher", "evaluate", arguments, tmp_path, monkeypatch, folds=[0])


def read(
    stage: str, script: str, arguments: argparse.Namespace, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> set[str]:
    """Run a stage's script with a toy for a network; what it read, all of which its stage in dvc.yaml must name."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    for place in ("backbones.registry", "card"):
        monkeypatch.setattr(f"pipeline.detectors.{place}.build", lambda *names: Watching())
    write_params(folder, **SMALL | more)
    module, reads = import_module(f"stages.{script}"), Reads(monkeypatch)
    monkeypatch.setattr(module, "load", reads.load)
    module.main(arguments)
    named = {re.sub(r"\.\$\{.*", "", name) for name in listed(GRAPH[stage])}
    unnamed = {
        key
        for key in reads.keys
        if not key.startswith(NEUTRAL) and not any(key == name or key.startswith(f"{name}.") for name in named)
    }
    unnamed -= ASKED if stage in TRAININGS else set()
    assert not unnamed, f"add to the params of {stage}: {sorted(unnamed)}"
    return reads.keys
