"""The trained detectors' verdicts on test people, by calibration and thresholds that were fitted on others."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.evaluation.calibration import VALIDATION, held_out, judged
from pipeline.params.cells import Cell
from pipeline.params.sections import Verdict
from pipeline.reporting.results import Model, Results


@dataclass(frozen=True)
class Judged:
    """A detector's verdicts on the test videos of every fold; videos: as evaluation.calibration.judged gives them."""

    cell: Cell
    label: str
    videos: pd.DataFrame
    own: bool  # judged by validation people; else by the other folds' test people


def collect(results: Sequence[Results], settings: Verdict) -> list[Judged]:
    """The verdicts of every found cell at the quality that it was trained on, of its first seed alone."""
    found: dict[Cell, Judged | None] = {}
    for group in results:
        for cell in group.summaries:
            if cell.seedless not in found:
                found[cell.seedless] = _judge(group, cell, settings)
    return [one for one in found.values() if one is not None]


def _judge(results: Results, cell: Cell, settings: Verdict) -> Judged | None:
    """None where there is nobody to fit a calibration on."""
    frames = results.scored(cell, cell.compression)
    videos = judged(frames, settings.false_alarms, settings.misses)
    if not len(videos):
        return None
    own = bool((held_out(frames)["role"] == VALIDATION).any())
    return Judged(cell, results.label(Model(cell.method, cell.backbone)), videos, own)
