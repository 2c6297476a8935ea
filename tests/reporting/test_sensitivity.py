"""ACC against alpha and beta, from what `dvc exp show` tells."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting import sensitivity
from pipeline.work.errors import UserError


def test_sensitivity_asks_for_the_commits_that_can_hold_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every one of a history: DVC reads hundreds for minutes."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@example.org")

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()

    def commit(file: str) -> str:
        (tmp_path / file).write_text(str(len(made)))
        git("add", file)
        git("commit", "--quiet", "--message", file)
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    made: list[str] = []
    for file in ("dvc.lock", "a.py", "b.py", "dvc.lock", "c.py"):
        made.append(commit(file))
    git("update-ref", f"refs/exps/{made[1][:2]}/{made[1][2:]}/soapy-soya", made[3])
    git("update-ref", "refs/exps/celery/stash", made[2])
    assert sensitivity.commits() == [made[4], made[3], made[0], made[1]]


def test_sensitivity_reads_the_runs_that_differ_in_alpha_and_beta_alone() -> None:
    def entry(
        name: str | None, alpha: float, beta: float, acc: float, epochs: int = 6, of: float | None = None
    ) -> dict[str, Any]:
        params = {"params.yaml": {"data": {"alpha": alpha, "beta": beta, "train": {"epochs": epochs}}}}
        found = {
            "alpha": alpha,
            "beta": of or beta,
            "add_c40_faceswap_acc": acc,
            "baseline_c40_faceswap_acc": 0.7,
            "teacher_on_raw_auc": 0.99,
        }
        data = {"params": params, "metrics": {"reports/metrics.json": {"data": found}}}
        return {"rev": "workspace" if name is None else "0123456789", "name": name, "data": data, "experiments": None}

    tried = [entry("b20", 1, 20, 0.8), entry("longer", 1, 24, 0.9, epochs=9), entry("same", 1, 16, 0.75)]
    tried += [entry("cut off", 1, 22, 0.75, of=16)]  # the params of a run that never came to its report
    failed = {"rev": "89abcdef", "name": "failed", "data": None, "error": {"msg": "no metrics"}}
    main = entry("main", 1, 16, 0.75) | {"experiments": [{"revs": [run]} for run in [*tried, failed]]}
    found = sensitivity.runs([entry(None, 1, 16, 0.75), main])
    assert found[["run", "alpha", "beta"]].values.tolist() == [["same", 1, 16], ["b20", 1, 20]]
    assert found["add_c40_faceswap_acc"].tolist() == [0.75, 0.8] and "teacher_on_raw_auc" not in found
    own = sensitivity.own([entry(None, 1, 16, 0.75), main])
    (ax,) = sensitivity.figure_of(found, own).drawing.axes  # alpha has one value, and no panel
    assert ax.lines[0].get_xydata().tolist() == [[16, 75], [20, 80]] and ax.get_xlabel() == "beta (alpha = 1)"
    # beta = 20 has as many runs: what is held is the workspace's value, whatever most runs have.
    more = sensitivity.runs([entry(None, 1, 16, 0.75), main, entry("a2", 2, 16, 0.7), entry("b0", 1, 0, 0.6)])
    left, right = sensitivity.figure_of(more, own).drawing.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 75], [2, 70]] and left.get_xlabel() == "alpha (beta = 16)"
    assert right.lines[0].get_xydata().tolist() == [[0, 60], [16, 75], [20, 80]]
    assert sensitivity.table_of(more).header[-1] == "baseline c40 faceswap %"


@pytest.mark.parametrize(("stderr", "stdout", "told"), [
    ("warning\nERROR: no lock\n", "", "ERROR: no lock"), ("", "half of it\n", "half of it"), ("", "", "exit status 3"),
])  # fmt: skip
def test_a_command_that_fails_is_told_with_what_it_said(stderr: str, stdout: str, told: str) -> None:
    code = f"import sys; sys.stderr.write({stderr!r}); sys.stdout.write({stdout!r}); sys.exit(3)"
    with pytest.raises(UserError, match=f"failed: {told}$"):
        sensitivity._said([sys.executable, "-c", code, "exp", "show"])
