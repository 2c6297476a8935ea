"""What `dvc metrics` and `dvc plots` read: a few numbers, and tidy tables of curves."""

import math
from statistics import fmean

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from pipeline.params.cells import ADD, RAW, TEACHER
from pipeline.params.schema import Params
from pipeline.reporting.comparison import MEAN, Comparisons
from pipeline.reporting.figures.curves import CLOCK
from pipeline.reporting.results import Model, Results, Task

MEASURES = ("acc", "auc")
BASELINE = "baseline"  # of ADD's own network, whatever its name
POINTS = np.linspace(0, 1, 101)  # false alarm rates of the ROC curves


def metrics(results: Results, comparisons: Comparisons, params: Params) -> dict[str, float]:
    """Flat and small, all per frame: each model's mean over manipulations, the teacher's gap, ADD beside its baseline.

    The ACC of single tasks is there for ADD and its baseline alone, since the sensitivity to alpha and beta reads it.
    It also reads these two weights from here: of an experiment that was cut off, DVC shows new params beside old
    metrics.
    """
    found: dict[str, float] = {"alpha": params.alpha, "beta": params.beta}
    tasks = results.tasks()
    for quality in (RAW, *params.grid.compressions):
        teachers = [cell for cell in results.cells if cell.method == TEACHER]
        keys = [(cell.backbone, cell.manipulation) for cell in teachers]
        values = [results.teacher(*key, quality, "frame", "auc") for key in keys]
        if values and None not in values:
            found[f"teacher_on_{quality}_auc"] = fmean(value for value in values if value is not None)
    for compression in params.grid.compressions:
        block = [task for task in tasks if task.compression == compression]
        for model in results.models():
            for measure in MEASURES:
                spreads = [results.spread(model, task, "frame", measure) for task in block]
                if None not in spreads:
                    found[f"{_stem(model, results)}_{compression}_{measure}"] = fmean(s.mean for s in spreads if s)
    for add in (model for model in results.models() if model.method == ADD):
        ending = _stem(add, results).removeprefix(ADD)
        for stem, model in ((ADD, add), (BASELINE, Model(add.backbone, add.backbone))):
            for task in tasks:
                if spread := results.spread(model, task, "frame", "acc"):
                    found[f"{stem}{ending}_{task.compression}_{task.manipulation}_acc"] = spread.mean
    for row in comparisons.against_add:
        alone = sum(task.compression == row.task.compression for task in tasks) == 1
        near = row.measure == "auc" and row.other.method == row.add.backbone
        if near and (row.task.manipulation == MEAN or alone):
            found[f"{_stem(row.add, results)}_minus_{BASELINE}_{row.task.compression}_auc"] = row.videos.value
    return {key: round(value, 6) for key, value in found.items() if math.isfinite(value)}


def per_task(results: Results) -> pd.DataFrame:
    """ACC and AUC per frame of each model and task, for bars."""
    rows = []
    for task in results.tasks():
        for model in results.models(ablations=True):
            values = [results.spread(model, task, "frame", measure) for measure in MEASURES]
            if all(values):
                rows.append([f"{task.label} {results.label(model)}", *(round(s.mean, 6) for s in values if s)])
    return pd.DataFrame(rows, columns=["cell", *MEASURES])


def roc(results: Results) -> pd.DataFrame:
    """ROC curves per frame on a fixed grid of false alarm rates, mean over seeds; line = model and task."""
    tables = []
    for task in results.tasks():
        for model in results.models():
            curves = [_roc(results.at(cell, task.compression)) for cell in results.of(model, task)]
            curves = [curve for curve in curves if np.isfinite(curve).all()]
            if curves:
                table = pd.DataFrame({"false_alarms": POINTS.round(2), "recall": np.mean(curves, axis=0).round(4)})
                tables.append(table.assign(line=f"{results.label(model)} {task.label}"))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["false_alarms", "recall", "line"])


def training(histories: pd.DataFrame) -> pd.DataFrame:
    """Training loss over steps, mean over folds; line = method, task and seed."""
    columns = ["step", "train_loss", "line"]
    if not len(histories):
        return pd.DataFrame(columns=columns)
    keys = ["method", "backbone", "manipulation", "compression", "seed"]
    table = histories.groupby([*keys, CLOCK[0]], as_index=False)["train_loss"].mean()
    names = [Model(*pair).label for pair in zip(table["method"], table["backbone"], strict=True)]
    tasks = [Task(*pair).label for pair in zip(table["manipulation"], table["compression"], strict=True)]
    lines = [f"{name} {task} s{seed}" for name, task, seed in zip(names, tasks, table["seed"], strict=True)]
    return table.assign(line=lines, train_loss=table["train_loss"].round(6))[columns]


def _roc(frames: pd.DataFrame) -> np.ndarray:
    if frames["label"].nunique() < 2:
        return np.full(len(POINTS), np.nan)
    alarms, recall, _ = roc_curve(frames["label"], frames["score"])
    return np.interp(POINTS, alarms, recall)


def _stem(model: Model, results: Results) -> str:
    """The model's name in a metric: the backbone only where several have this method."""
    several = sum(other.method == model.method for other in results.models()) > 1
    return (
        f"{model.method}_{model.backbone}"
        if several and (model.method == ADD or not model.is_baseline)
        else model.method
    )
