"""The paper's whole grid without its data set: presets/faceforensics.yaml on a tree in FaceForensics++'s layout.

Every stage of the graph as it is, on six people, with sizes that make 173 trainings a matter of minutes. The numbers
mean nothing; that each cell of Tables 1, 2 and 3 has one does. Run by `make proof`.
"""

import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.aids.clone import clone, run
from tests.aids.ff_tree import SPLITS, STAND_INS, plant

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.proof

# Sizes alone, and what hardware and the network decide: no cell is taken away. 80 px: InceptionResnetV1 needs 75.
SMALL = {
    "workers": 1, "sample": {"frames": 2}, "crop": {"size": 88, "shard_frames": 10},
    "grid": {"seeds": [0]}, "model": {"image_size": 80, "pretrained": False},
    "baselines": {name: {"pretrained": False} for name in ("xception", "f3net", "inception_resnet_v1")},
    "train": {"epochs": 1, "batch_size": 4, "validations_per_epoch": 1, "warmup_epochs": 0, "amp": "off"},
    "evaluation": {"bootstrap": 100}, "tracking": {"enabled": False},
    "cross": {"methods": []},  # it reads every model of a method at once: 8 GB of weights would have to stay
}  # fmt: skip
PEOPLE = {split: {name for pair in pairs for name in pair} for split, pairs in SPLITS.items()}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The clone in which every stage has run; `-s` shows how far it is."""
    folder = tmp_path_factory.mktemp("proof")
    tree = plant(folder / "FaceForensics++", folder / "work", frames=10)
    changes = SMALL | {"faceforensics": {"path": str(tree)}}
    made = clone(folder / "add", changes, "faceforensics")
    run(made, sys.executable, "-m", "tests.aids.run_graph", threads=1)
    return made


def paper(number: int) -> pd.DataFrame:
    return pd.read_csv(ROOT / f"pipeline/reporting/tables/paper_numbers/table{number}.csv")


def ours(grid: Path, number: int, keys: list[str]) -> pd.DataFrame:
    return pd.read_csv(grid / f"reports/tables/table{number}.csv").set_index(keys)


def check(mine: float, theirs: float, published: float, difference: float) -> None:
    assert math.isfinite(mine) and 0 <= mine <= 100
    assert theirs == published
    assert difference == pytest.approx(mine - published)


def cells(table: pd.DataFrame, key: object, columns: dict[str, float]) -> int:
    """How many of a row's cells stand in our table, each ours, the paper's and the difference."""
    for name, published in columns.items():
        check(*(float(table.at[key, f"{name}_{part}"]) for part in ("ours", "paper")), published,
              float(table.at[key, f"{name}_difference"]))  # fmt: skip
    return len(columns)


def test_every_cell_of_the_papers_tables_is_filled(grid: Path) -> None:
    one, two, three = paper(1), paper(2), paper(3)
    table = ours(grid, 1, ["manipulation", "method"])
    assert len(table) == len(one) == 40
    measures = ["c23_acc", "c23_r1", "c40_acc", "c40_r1"]
    found = [cells(table, (r["manipulation"], r["method"]), {m: r[m] for m in measures}) for _, r in one.iterrows()]
    assert sum(found) == 160

    table = ours(grid, 2, ["method"])
    assert list(table.index) == ["resnet50", "add_fr", "add_mv_plain", "add_mv", "add"] and len(two) == 5
    assert set(table["manipulation"]) == {"NeuralTextures"} and set(table["compression"]) == {"c40"}
    assert sum(cells(table, m, {"acc": acc}) for m, acc in zip(table.index, two["acc"], strict=True)) == 5

    table = ours(grid, 3, ["manipulation", "compression"])
    assert len(table) == len(three) == 10
    backbones = list(three.columns[2:])
    found = [cells(table, (r["manipulation"], r["compression"]), {b: r[b] for b in backbones})
             for _, r in three.iterrows()]  # fmt: skip
    assert sum(found) == 60


@pytest.mark.parametrize(("number", "rows"), [(1, 40), (2, 5), (3, 10)])
def test_nothing_is_missing_in_any_form_of_a_table(grid: Path, number: int, rows: int) -> None:
    page = (grid / "reports/report.html").read_text()
    _, _, rest = page.partition(f"<h3>Table {number} of the paper")
    html = rest.partition("</table>")[0]
    assert html.partition("<tbody>")[2].count("</tr>") == rows
    markdown, latex = ((grid / f"reports/tables/table{number}.{kind}").read_text() for kind in ("md", "tex"))
    assert len(markdown.splitlines()) == rows + 2
    assert latex.partition("\\midrule\n")[2].count("\\\\\n") == rows
    for text in (html, markdown, latex):
        assert "missing" not in text and not re.search(r"(^|[|&>] ?)(–|--)( ?[|&<]|$)", text)


def test_the_tables_show_what_was_measured(grid: Path) -> None:
    """A cell is that of its model: accuracy per frame out of its own scores, by a count of our own."""
    table = ours(grid, 1, ["manipulation", "method"])
    for (manipulation, method), row in table.iterrows():  # type: ignore[misc]
        for quality in ("c23", "c40"):
            plain = method in ("xception", "inception_resnet_v1", "f3net", "resnet50")
            model = f"baseline-{method}" if plain else f"{method}-resnet50"
            scores = pd.read_parquet(grid / f"reports/cells/{model}-{manipulation}-{quality}-s0.parquet")
            scores = scores[scores["role"] == "test"]
            right = (scores["score"] >= 0.5) == (scores["label"] == 1)
            assert row[f"{quality}_acc_ours"] == pytest.approx(100 * right.mean())
            assert set(scores["set"]) == {"original", manipulation} and set(scores["quality"]) == {quality}


def test_people_never_cross(grid: Path) -> None:
    for name in ("original", *STAND_INS):
        index = pd.read_parquet(grid / f"data/shards/{name}/index.parquet")
        assert {split: set(rows["person"]) for split, rows in index.groupby("bucket")} == PEOPLE
        targets = index["target"].where(index["target"] != "", index["video"])
        assert (targets == index["person"]).all()
        donors = index.loc[index["donor"] != "", ["bucket", "donor"]]
        assert all(donor in PEOPLE[bucket] for bucket, donor in donors.itertuples(index=False))
    cards = [json.loads(path.read_text()) for path in grid.glob("models/**/model.json")]
    assert len(cards) == 20 + 70 + 40 + 40 + 3
    assert all(card["buckets"] == {split: [split] for split in ("train", "val", "test")} for card in cards)
    scored = [pd.read_parquet(path, columns=["role", "person"]) for path in grid.glob("reports/cells/*.parquet")]
    roles = {role: PEOPLE[role] for role in ("test", "val")}
    assert len(scored) == len(cards)
    assert all({role: set(rows["person"]) for role, rows in table.groupby("role")} == roles for table in scored)


def test_dvc_itself_makes_the_same(grid: Path) -> None:
    """One process runs what `dvc repro` would: DVC's own way from the tree to one cell leaves the same bytes."""
    cell = "add-resnet18-FaceShifter-c40"
    outs = ["data/shards/original", "data/shards/FaceShifter", "models/add/resnet18-FaceShifter-c40-s0/fold0"]

    def state() -> dict[str, str]:
        files = [path for out in outs for path in sorted((grid / out).iterdir()) if path.suffix != ".safetensors"]
        files += [grid / f"reports/cells/{cell}-s0.{kind}" for kind in ("json", "parquet")]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = state()
    said = run(grid, "dvc", "repro", "--no-commit", f"evaluate_student@{cell}-0", threads=1)
    # The check, downloads of all six sets, compress and crop of two with what those need, and the cell's three
    assert said.count("Running stage") == 19
    assert state() == before
