"""presets/faceforensics.yaml against the paper's tables: what it names is what they show, cell for cell."""

import re
from itertools import product
from pathlib import Path

import pandas as pd

from pipeline.params.cells import Cell, expected
from pipeline.params.presets import read, text
from pipeline.params.schema import load

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "pipeline/reporting/tables/paper_numbers"
QUALITIES = ("c23", "c40")
PARTS = {
    ("no", "no", "no"): "resnet50",
    ("yes", "no", "no"): "add_fr",
    ("no", "yes", "no"): "add_mv_plain",
    ("no", "yes", "yes"): "add_mv",
    ("yes", "yes", "yes"): "add",
}


def published(seeds: tuple[int, ...]) -> set[Cell]:
    """The models behind every number of Tables 1, 2 and 3."""
    one, two, three = (pd.read_csv(PAPER / f"table{number}.csv").astype(str).to_dict("records") for number in (1, 2, 3))
    found = set()
    for seed in seeds:
        for row, quality in product(one, QUALITIES):
            backbone = "resnet50" if "ResNet50" in row["paper_row"] else row["method"]
            found.add(Cell(row["method"], backbone, row["manipulation"], quality, seed))
        for row in two:
            method = PARTS[row["frequency"], row["multiview"], row["contrastive"]]
            found.add(Cell(method, "resnet50", "NeuralTextures", "c40", seed))
        for row, backbone in product(three, ("resnet18", "resnet34", "efficientnet_b0")):
            assert {backbone, f"{backbone}_add"} < row.keys()
            for method in (backbone, "add"):
                found.add(Cell(method, backbone, row["manipulation"], row["compression"], seed))
    return found


def test_the_preset_is_the_papers_grid() -> None:
    """Besides, it trains only the teachers and the warm start, a control that the paper lacks."""
    params = read("faceforensics", ROOT)
    cells = expected(params)
    assert len(cells) == len(set(cells))
    wanted = published(params.grid.seeds)
    assert len(wanted) == (40 * 2 + 3 + 10 * 6) * 3
    assert wanted <= set(cells)
    assert {cell.method for cell in set(cells) - wanted} == {"teacher", "warm_start"}
    # Each distilled student of the paper has the teacher that its command line names.
    teachers = {(cell.backbone, cell.manipulation) for cell in cells if cell.method == "teacher"}
    assert {(cell.backbone, cell.manipulation) for cell in wanted if cell.method != cell.backbone} == teachers
    recipe = params.train
    assert (recipe.batch_size, recipe.epochs, params.crop.size, params.sample.frames) == (144, 32, 128, 64)


def test_the_ways_to_run_less_of_it_are_valid(tmp_path: Path) -> None:
    """Each line of the preset's head, alone and all together, as `dvc exp run -S` applies it."""
    from dvc.utils.hydra import apply_overrides

    preset = text("faceforensics", ROOT / "params.yaml", ROOT / "presets")
    head = preset.partition("# Less of it")[2].partition("\n\n")[0]
    lines = [re.findall(r"-S '?([\w.]+=[^' ]+)", line) for line in head.splitlines() if "-S" in line]
    assert len(lines) == 6

    def cut(overrides: list[str]) -> list[Cell]:
        file = tmp_path / "params.yaml"
        file.write_text(preset)
        apply_overrides(file, overrides)
        return expected(load(file))

    counts = [len(cut(line)) for line in lines]
    assert counts[:2] == [479, 173] and max(counts[2:]) < 479
    assert len(cut([override for line in lines for override in line])) == 1 + 4 + 1 + 3
    with_backbone = {cell.backbone for cell in cut(lines[3])}
    assert with_backbone == {"resnet50", "xception", "inception_resnet_v1", "f3net"}
