"""The trained detectors' verdicts on test people, by calibration and thresholds that were fitted on others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.evaluation.calibration import held_out, judged
from pipeline.params.cells import Cell
from pipeline.params.sections import Verdict
from pipeline.reporting.results import Model, Results


@dataclass(frozen=True)
class Judged:
    """A detector's verdicts on the test videos of every fold; videos: as evaluation.calibration.judged gives them."""

    cell: Cell
    quality: str
    label: str
    videos: pd.DataFrame
    own: bool  # judged by validation people; else by the other folds' test people


def collect(results: Sequence[Results], settings: Verdict) -> list[Judged]:
    """The verdicts of every found cell at the quality that it was trained on, one seed each; none that cannot be."""
    return list(_collect(results, settings))


def _collect(results: Sequence[Results], settings: Verdict) -> Iterator[Judged]:
    for group in results:
        seeds: set[tuple[str, str, str, str]] = set()
        for cell in group.summaries:
            key = (cell.method, cell.backbone, cell.manipulation, cell.compression)
            if key in seeds:
                continue
            seeds.add(key)
            frames = group.scored(cell, cell.compression)
            videos = judged(frames, settings.false_alarms, settings.misses)
            if len(videos):
                label = group.label(Model(cell.method, cell.backbone))
                yield Judged(cell, cell.compression, label, videos, bool((held_out(frames)["role"] == "val").any()))
