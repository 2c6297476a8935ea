"""Which models a run consists of, and the names of their files."""

from pathlib import Path

from pipeline.params.cells import Cell, expected
from pipeline.params.schema import load
from tests.aids import report_fixture as made_up


def test_cells_have_the_names_of_the_graph() -> None:
    assert Cell("teacher", "resnet50", "FaceSwap", "raw", 0).name == "teacher-resnet50-FaceSwap-raw-s0"
    assert Cell("resnet50", "resnet50", "FaceSwap", "c40", 2).name == "baseline-resnet50-FaceSwap-c40-s2"
    assert Cell("add", "resnet50", "FaceSwap", "c40", 2).name == "add-resnet50-FaceSwap-c40-s2"


def test_expected_cells_are_the_params_and_each_once(tmp_path: Path) -> None:
    ablation = {"methods": ["add_fr", "add"], "manipulations": ["faceswap"], "compressions": ["c40"]}
    params = load(made_up.write_params(tmp_path, ablation=ablation | {"backbones": ["mobilenet_v2"]}))
    names = [cell.name for cell in expected(params)]
    assert len(names) == len(set(names)) == 2 + 3 * 2 + 1  # teachers, three methods of two tasks, add_fr
    assert "add_fr-mobilenet_v2-faceswap-c40-s0" in names
