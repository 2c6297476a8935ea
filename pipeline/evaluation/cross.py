"""Models trained on one manipulation, on the fakes of the others: test people of their own fold, nothing trained."""

from pathlib import Path

import pandas as pd

from pipeline.crops.shards import read_index
from pipeline.detectors.card import load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.evaluation.frames import frames_of
from pipeline.params.cells import expected, pooled, tested_on
from pipeline.params.schema import Params
from pipeline.work.files import whole
from pipeline.work.progress import progress

COLUMNS = ["cell", "quality", "fold", "set", "video", "person", "bucket", "target", "frame", "label", "score"]


def cross(method: str, models: Path, shards: Path, out: Path, params: Params) -> pd.DataFrame:
    """Score the other manipulations' fakes with every cell of a method; write and give back a row a frame (COLUMNS).

    Not scored here, since evaluate has left them: the fakes that the cell was trained on (of a pooled task all of its
    manipulations), and the reals, which all tasks share.
    """
    cells = [cell for cell in (*expected(params), *pooled(params)) if cell.family == method]
    parts: list[pd.DataFrame] = []
    for cell in progress(cells, len(cells), f"cross {method}", "model"):
        own = params.fakes_of(cell.manipulation)
        folders = [shards / name for name in params.manipulations if name not in own]
        for fold in params.folds if folders else ():
            detector, card = load(models / cell.folder / f"fold{fold}")
            index = read_index(folders, card.buckets["test"])
            for quality in tested_on(card.quality, params.compressions):
                batches = frames_of(index, quality, card, params.evaluation, params.loader)
                frames = score(detector, batches, quality, device()).frames
                parts.append(frames.assign(cell=cell.name, quality=quality, fold=fold)[COLUMNS])
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    with whole(out) as part:
        table.to_parquet(part, index=False)
    return table
