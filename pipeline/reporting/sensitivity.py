"""Sensitivity of ACC to alpha and beta, from the experiments that were run (supplement of the paper).

dvc exp run --queue -S 'beta=range(16,24)' && dvc queue start
python -m pipeline.reporting.sensitivity --out reports/sensitivity

It reads `dvc exp show --json`: the params and reports/metrics.json of every experiment, and of every commit that may
hold a run. Only runs that agree with the workspace in every other param are put beside each other, and only those that
ran to the report.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from pipeline.params.cells import ADD
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, legend_below, styled
from pipeline.reporting.figures.plots import BASELINE
from pipeline.reporting.tables.table import Entry, Table, percent
from pipeline.work.errors import UserError

WEIGHTS = ("alpha", "beta")
COMMAND = [sys.executable, "-m", "dvc", "exp", "show", "--json"]


def runs(shown: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a run that differs from the workspace in alpha and beta at most: run, alpha, beta, and its ACCs.

    shown: what `dvc exp show --json` prints. The same alpha, beta and figures of several commits are one row.
    """
    found = [(name, *_content(data)) for name, data in _entries(shown) if data]
    if not found:
        raise UserError("dvc exp show: no runs; make one with `dvc exp run -S beta=20`")
    same = _others(found[0][1])  # the workspace comes first
    rows: list[dict[str, Any]] = [
        {"run": name, **{weight: float(params[weight]) for weight in WEIGHTS}, **accuracies}
        for name, params, metrics in found
        if (accuracies := _accuracies(metrics)) and _others(params) == same and _own(params, metrics)
    ]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(["run", *WEIGHTS, *(key for row in rows for key in row)])))
    return table.drop_duplicates([c for c in table.columns if c != "run"], keep="last").sort_values(
        [*WEIGHTS], ignore_index=True
    )


def own(shown: list[dict[str, Any]]) -> dict[str, float]:
    """The workspace's alpha and beta."""
    params, _ = next(_content(data) for _, data in _entries(shown) if data)
    return {weight: float(params[weight]) for weight in WEIGHTS}


def table_of(found: pd.DataFrame) -> Table:
    """The table of the runs, ACC in percent."""
    measures = [c for c in found.columns if c not in ("run", *WEIGHTS)]
    rows = [
        [Entry(str(row["run"])), *(Entry(f"{row[w]:g}") for w in WEIGHTS), *(Entry(percent(row[m])) for m in measures)]
        for row in found.to_dict("records")
    ]
    header = ["run", *WEIGHTS, *(f"{_named(m)} %" for m in measures)]
    return Table("sensitivity", "ACC by alpha and beta", "ACC per frame in percent.", header, rows, found)


def figure_of(found: pd.DataFrame, own: Mapping[str, float]) -> Figure:
    """ACC of ADD against alpha and against beta, with the plain baseline's as a dashed line.

    own: the workspace's alpha and beta. A panel shows one weight, with the other held at this value. A weight with a
    single value has no panel, unless both have one value.
    """
    measures = [column for column in found.columns if column.startswith(ADD) and _baseline(column) in found.columns]
    lines = {
        weight: found[found[other] == own[other]].groupby(weight, as_index=False).mean(numeric_only=True)
        for weight, other in zip(WEIGHTS, reversed(WEIGHTS), strict=True)
    }
    shown = {weight: line for weight, line in lines.items() if len(line) > 1} or lines
    drawing, axes = styled(1, len(shown), 4.8 * len(shown), 3.6, sharey=True)
    with mpl.rc_context(STYLE):
        for (weight, line), ax in zip(shown.items(), axes.flat, strict=True):
            (other,) = set(WEIGHTS) - {weight}
            for number, measure in enumerate(measures):
                colour = COLOURS[number % len(COLOURS)]
                ax.plot(line[weight], 100 * line[measure], marker="o", color=colour, label=_named(measure))
                ax.axhline(100 * found[_baseline(measure)].mean(), color=colour, linestyle="--", linewidth=1)
            ax.set(xlabel=f"{weight} ({other} = {own[other]:g})", ylabel="ACC per frame, %")
        legend_below(drawing, axes, 3)
    hint = "Dashed: the plain baseline of the same network, which neither weight concerns."
    return Figure("sensitivity", "ACC by alpha and beta", hint, drawing)


def main(out: Path) -> str:
    """Write sensitivity.csv, .md, .tex and .png into `out`; return the outcome in a line."""
    shown = json.loads(_said([*COMMAND, *(word for commit in commits() for word in ("--rev", commit))]))
    found = runs(shown)
    if found.empty:
        raise UserError("no run with the workspace's params came to its report; see `dvc queue status`, `dvc exp show`")
    out.mkdir(parents=True, exist_ok=True)
    table_of(found).write(out)
    figure_of(found, own(shown)).write(out)
    return f"{len(found)} runs -> {out / 'sensitivity.md'}"


def commits() -> list[str]:
    """Those that can hold a run: HEAD, each that changed dvc.lock, and each that experiments started from.

    Of all commits of a history DVC would read the same few runs again, for half a second each.
    """
    changed = _said(["git", "log", "--branches", "--tags", "HEAD", "--format=%H", "--", "dvc.lock"]).split()
    places = [ref.split("/") for ref in _said(["git", "for-each-ref", "--format=%(refname)", "refs/exps"]).split()]
    bases = [place[2] + place[3] for place in places if len(place) == 5 and len(place[2] + place[3]) == 40]
    return list(dict.fromkeys([_said(["git", "rev-parse", "HEAD"]).strip(), *changed, *bases]))


def _said(command: list[str]) -> str:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        what = " ".join(command[:2] if command[0] == "git" else command[2:5])
        said = result.stderr.strip() or result.stdout.strip() or f"exit status {result.returncode}"
        raise UserError(f"{what} failed: {said.splitlines()[-1]}")
    return result.stdout


def _entries(shown: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for commit in shown:
        yield _name(commit), commit["data"]
        for experiment in commit["experiments"] or []:
            for run in experiment["revs"]:
                yield _name(run), run["data"]


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"] or (entry["rev"] if entry["rev"] == "workspace" else entry["rev"][:7]))


def _content(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    params: dict[str, Any] = {}
    for file in data["params"].values():
        params |= file.get("data", {})
    metrics: dict[str, float] = {}
    for file in data["metrics"].values():
        metrics |= file.get("data", {})
    return params, metrics


def _named(measure: str) -> str:
    """In words, e.g. add c40 reenactment."""
    return measure.removesuffix("_acc").replace("_", " ")


def _others(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in WEIGHTS}


def _own(params: dict[str, Any], metrics: dict[str, float]) -> bool:
    """Whether the metrics are of this run: one that was cut off has its params beside the metrics of the run before."""
    return all(metrics.get(weight) == params[weight] for weight in WEIGHTS)


def _accuracies(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key.startswith((ADD, BASELINE)) and key.endswith("_acc")}


def _baseline(measure: str) -> str:
    return BASELINE + measure.removeprefix(ADD)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the table and the figure")
    try:
        print(f"sensitivity: {main(parser.parse_args().out)}")
    except UserError as error:
        sys.exit(f"sensitivity: {error}")
