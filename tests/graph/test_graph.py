"""dvc.yaml against the code: DVC does not follow imports, so the modules behind a result must stand in `deps`."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipeline.params.schema import load

ROOT = Path(__file__).parents[2]
# Rooms and files that no result depends on: they move, show, log, check, or fetch what is pinned by hash. Params are
# tracked by value. A room's __init__.py holds words alone.
NEUTRAL = ("pipeline/work/", "pipeline/params/", "pipeline/fetching/", "pipeline/tracking/", "stages/_cli.py")
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@cache
def imports(module: str) -> frozenset[str]:
    """The project's files that a file imports, also inside functions and under TYPE_CHECKING."""
    tree = ast.parse((ROOT / module).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("pipeline."):
            names.add(node.value)  # import_module("pipeline....")
    files = set()
    for name in names:
        if name.split(".")[0] in ("pipeline", "stages"):
            path = Path(*name.split("."))
            files |= {str(f) for f in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / f).is_file()}
    return frozenset(files)


def closure(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imports(file) - found
    return found


@pytest.mark.parametrize("name", GRAPH)
def test_deps_hold_the_import_closure(name: str) -> None:
    stage = GRAPH[name]
    script = stage["cmd"].split()[2].replace(".", "/") + ".py"
    assert script in stage["deps"]
    missing = {
        file
        for file in closure(script)
        if not file.startswith(NEUTRAL)
        and not file.endswith("__init__.py")
        and not any(file == dep or file.startswith(f"{dep}/") for dep in stage["deps"])
    }
    assert not missing, f"add to the deps of {name}: {sorted(missing)}"


@pytest.mark.parametrize("name", GRAPH)
def test_deps_exist_and_are_used(name: str) -> None:
    stage = GRAPH[name]
    script = stage["cmd"].split()[2].replace(".", "/") + ".py"
    used = closure(script)
    for dep in stage["deps"]:
        if dep.startswith(("pipeline/", "stages/")):
            assert (ROOT / dep).exists(), dep
            assert any(file == dep or file.startswith(f"{dep}/") for file in used), f"{name} does not import {dep}"


def test_a_rooms_init_holds_words_alone() -> None:
    for file in [*ROOT.glob("pipeline/**/__init__.py"), ROOT / "stages/__init__.py"]:
        (words,) = ast.parse(file.read_text()).body
        assert isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant), file


VIDEOS = {"download", "landmarks", "forge", "compress", "detect", "crop", "degrade"}
POOLED = {"teacher_pooled", "baseline_pooled", "student_pooled"}
TRAININGS = {"teacher", "baseline", "student", "distilled", "ablation", "agnostic"} | POOLED
SHIPPED = {"export", "export_raw"}
EVALUATIONS = {name for name in GRAPH if name.startswith("evaluate_")} | {"elsewhere", "stress", "cross"}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("pipeline/work/parallel.py", set()),
        ("pipeline/params/schema.py", {"check"}),
        ("pipeline/fetching/cache.py", set()),
        ("pipeline/tracking/runs.py", set()),
        ("pipeline/jobs/scheduling.py", set()),
        ("pipeline/reporting/build.py", {"report"}),
        ("pipeline/evaluation/metrics.py", EVALUATIONS | SHIPPED | {"explain", "report"}),
        ("pipeline/serving/page.py", set()),
        ("pipeline/serving/export/modelcard.py", SHIPPED),
        ("pipeline/losses/frequency.py", {"student", "distilled", "ablation", "agnostic", "student_pooled"}),
        ("pipeline/training/trainer.py", TRAININGS),
        ("pipeline/loading/loader.py", TRAININGS | EVALUATIONS | SHIPPED),
        ("pipeline/detectors/backbones/resnet.py", TRAININGS | EVALUATIONS | SHIPPED | {"explain"}),
        ("pipeline/crops/cropping.py", {"crop", "degrade"}),
        ("pipeline/crops/folds.py", {"download", "landmarks", "forge", "crop", "degrade"} | TRAININGS),
        ("pipeline/faces/forged.py", {"landmarks", "detect"}),
        ("pipeline/crops/degrading.py", {"crop", "degrade"}),
        ("pipeline/faces/search.py", {"landmarks", "detect"}),
        ("pipeline/forging/donors.py", {"forge"}),
        ("pipeline/sources/folder.py", {"download"}),
        ("pipeline/videos/writing.py", VIDEOS | {"report"}),
        ("pipeline/videos/sampling.py", VIDEOS | {"sample", "stress", "report"}),
    ],
)
def test_a_change_in_a_room_runs_these_stages(file: str, stages: set[str]) -> None:
    """Themselves; what follows them runs only where what they leave has changed."""
    assert (ROOT / file).is_file()
    changed = {
        name for name, stage in GRAPH.items() if any(file == d or file.startswith(f"{d}/") for d in stage["deps"])
    }
    assert changed == stages


def test_a_stage_says_that_it_uses_a_device_where_its_script_does() -> None:
    """pipeline.jobs reads it in dvc.yaml to pin a GPU, the script knows it to ask a cluster for one."""
    for name, stage in GRAPH.items():
        script = (ROOT / (stage["cmd"].split()[2].replace(".", "/") + ".py")).read_text()
        uses = stage.get("meta", {}).get("uses")
        assert ("_cli.run_on_device(" in script) == (uses == "device"), name
        assert (name in TRAININGS | EVALUATIONS) == (uses == "device"), name
        if "workers=settings.workers" in script or "settings.workers," in script:
            assert uses == "cores", name


def test_params_survive_what_dvc_makes_of_them(tmp_path: Path) -> None:
    """`dvc exp run -S` rewrites the file in YAML 1.2: `off` and 1e-08 lose their quotes and their point."""
    from dvc.utils.serialize import modify_yaml

    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text())
    with modify_yaml(file) as held:
        held["beta"] = 20.0
    assert load(file).model_dump() == load(ROOT / "params.yaml").model_dump() | {"beta": 20.0}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [("sample crop forge download report", "torch"), ("compress", "pandas.plotting"), ("classifier", "mlflow")],
)
def test_stages_start_without_what_they_do_not_need(modules: str, heavy: str) -> None:
    """Those that must do without the same are loaded by one process: it costs seconds to start."""
    code = "import sys; from importlib import import_module\n"
    code += f"for name in {modules.split()}:\n    import_module('stages.' + name)\n"
    code += f"    if '{heavy}' in sys.modules: sys.exit(name + ' loads {heavy}')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "stages").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_stages_script_is_small_and_spells_no_path(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= 45
    code = text.partition('"""')[2].partition('"""')[2]
    assert not any(f'"{folder}/' in code for folder in ("data", "models", "reports"))


def test_dvc_reads_its_files_by_the_c_library() -> None:
    """ruamel.yaml brings it as an extra alone. Without it dvc.lock takes four times as long, before every stage."""
    from ruamel.yaml import YAML

    assert YAML(typ="safe").Parser.__name__ == "CParser"
