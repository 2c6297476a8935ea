"""params.yaml as people spoil it: one line that names the key or the line, and nothing done."""

from pathlib import Path

import pytest
import yaml

from tests.aids.refusing import Bad, refusal, write

GOOD = (Path(__file__).parents[2] / "params.yaml").read_text()


def text(old: str, new: str) -> object:
    """Spoil by another text in place of one that params.yaml has."""
    assert GOOD.count(old) == 1, old
    return write("params.yaml", GOOD.replace(old, new))


def value(key: str, new: object) -> object:
    """Spoil by another value of a dotted key."""
    params = yaml.safe_load(GOOD)
    *parents, last = key.split(".")
    section = params
    for parent in parents:
        section = section[parent]
    section[last] = new
    return write("params.yaml", yaml.safe_dump(params))


TABLE = [
    Bad("no file", lambda folder: (folder / "params.yaml").unlink(), "not found; run from the repository's root"),
    Bad("a folder", lambda folder: ((folder / "params.yaml").unlink(), (folder / "params.yaml").mkdir()), "directory"),
    Bad("an empty file", write("params.yaml", ""), "holds nothing"),
    Bad("comments alone", write("params.yaml", "# alpha: 1\n"), "holds nothing"),
    Bad("a list", write("params.yaml", "- alpha\n- beta\n"), "holds no params"),
    Bad("one word", write("params.yaml", "alpha"), "holds no params"),
    Bad("binary", write("params.yaml", bytes(range(256)) * 8), "cannot be read as YAML"),
    Bad("UTF-16", write("params.yaml", GOOD.encode("utf-16")), "cannot be read as YAML"),
    Bad("Latin-1", write("params.yaml", GOOD.encode() + b"# caf\xe9\n"), "cannot be read as YAML"),
    Bad("NUL in it", write("params.yaml", GOOD + "\0"), "YAML"),
    Bad("brackets in brackets", write("params.yaml", "a: " + "[" * 1000), "cannot be read as YAML"),
    Bad("endless digits", text("alpha: 1.0 ", f"alpha: {'9' * 5000} "), "YAML"),
    Bad("a tab", text("  buckets: 3", "\tbuckets: 3"), "not valid YAML in line"),
    Bad("a quote left open", text("schedule: one_cycle", "schedule: 'one_cycle"), "not valid YAML in line"),
    Bad("a brace left open", text("crf: {c23: 23, c40: 40}", "crf: {c23: 23, c40: 40"), "not valid YAML in line"),
    Bad("two documents", write("params.yaml", GOOD + "---\n" + GOOD), "not valid YAML in line"),
    Bad("a key twice", text("alpha: 1.0", "alpha: 2.0\nalpha: 1.0"), 'found duplicate key "alpha"'),
    Bad("a key twice inside", text("  patience: 10", "  patience: 10\n  patience: 20"), 'duplicate key "patience"'),
    Bad("an alias of nothing", text("alpha: 1.0", "alpha: *beta"), "undefined alias"),
    Bad("an anchor in itself", text("folds: [0, 1, 2]", "folds: &a [*a]"), "folds.0"),
    Bad("code", text("alpha: 1.0", "alpha: !!python/object/apply:os.getpid []"), "could not determine a constructor"),
    Bad("a list as key", text("alpha: 1.0", "? [alpha]\n: 1.0"), "alpha: Field required"),
    Bad("a marker of a merge", text("alpha: 1.0", "<<<<<<< HEAD\nalpha: 1.0"), "not valid YAML"),
    Bad("an unknown key", text("alpha: 1.0", "alfa: 1.0\nalpha: 1.0"), "alfa: no such param; is alpha meant?"),
    Bad("an unknown key inside", value("train.learning_rate", 1e-3), "train.learning_rate: no such param"),
    Bad("a misspelt key", text("batch_size: 32", "batchsize: 32"), "train.batchsize: no such param; is batch_size"),
    Bad("a missing key", text("alpha: 1.0", "# alpha: 1.0"), "alpha: Field required"),
    Bad("nothing for a section", value("train", None), "train: must be a section with keys below it"),
    Bad("a number for a section", value("sample", 5), "sample: must be a section with keys below it"),
    Bad("a word for a number", value("sample.frames", "many"), "sample.frames: Input should be a valid integer"),
    Bad("a part of a frame", value("sample.frames", 2.5), "sample.frames: Input should be a valid integer"),
    Bad("true for a number", value("sample.frames", True), "sample: frames is true"),
    Bad("no for a list's number", value("grid.seeds", [False]), "grid: seeds is [false]"),
    Bad("a list for a number", value("beta", [16, 17]), "beta: Input should be a valid number"),
    Bad("a word for a list", value("folds", "all"), "folds: must be a list, such as [0]"),
    Bad("a sexagesimal", text("crf: {c23: 23, c40: 40}", "crf: {c23: 23, c40: 4:0}"), "crf.c40"),
    Bad("a date for a name", text("experiment: add", "experiment: 2026-01-02"), "tracking.experiment"),
    Bad("not a number", text("beta: 16.0", "beta: .nan"), "beta: Input should be a finite number"),
    Bad("infinite", text("alpha: 1.0", "alpha: .inf"), "alpha: Input should be a finite number"),
    Bad("infinite inside", text("  enlarge: 1.3", "  enlarge: .inf"), "faces.enlarge: Input should be a finite number"),
    Bad("not a number in a method's own", value("teacher.train", {"lr": float("nan")}), "lr: Input should be a finite"),
    Bad("negative", value("alpha", -1), "alpha: Input should be greater than or equal to 0"),
    Bad("a negative seed", value("sample.seed", -1), "sample.seed: Input should be greater than or equal to 0"),
    Bad("a huge seed", value("grid.seeds", [2**64]), "grid.seeds.0: Input should be less than"),
    Bad("a huge crop", value("crop.size", 10**9), "crop.size: Input should be less than or equal to 4096"),
    Bad("a huge bootstrap", value("evaluation.bootstrap", 10**12), "evaluation.bootstrap: Input should be less than"),
    Bad("nobody to train on", value("split.buckets", 1), "split.buckets: Input should be greater than"),
    Bad("a fold that is not there", value("folds", [7]), "folds holds 7"),
    Bad("a set with a path in its name", value("sets", ["original", "../x"]), "sets.1: String should match pattern"),
    Bad("a quality with a command in it", value("compressions", ["$(id)"]), "compressions.0: String should match"),
    Bad("a task of another name", value("manipulations", ["deepfakes"]), "sets must hold original and every"),
    Bad("a source that is none", value("source", "youtube"), "source: Input should be 'sample'"),
    Bad("a degradation that is none", value("stress.degradations", ["h264-99"]), "the level must be"),
]


@pytest.mark.parametrize("bad", TABLE, ids=str)
def test_params_are_refused_in_one_line(bad: Bad, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(GOOD)
    bad.spoil(tmp_path)
    line = refusal(tmp_path, "sample", "--videos", "data/raw/original", "--out", "data/frames/original.parquet")
    assert line.startswith("sample: params.yaml: ") and bad.says in line, line
