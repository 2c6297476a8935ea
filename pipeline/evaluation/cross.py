"""Models trained on one manipulation, on the fakes of the others: test people of their own fold, nothing trained."""

from pathlib import Path

import pandas as pd

from pipeline.detectors.card import load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.loading.loader import evaluation_loader
from pipeline.params.cells import expected, tested_on
from pipeline.params.schema import Params
from pipeline.work.files import whole
from pipeline.work.progress import progress

COLUMNS = ["cell", "quality", "fold", "set", "video", "person", "bucket", "target", "frame", "label", "score"]


def cross(method: str, models: Path, shards: Path, out: Path, params: Params) -> pd.DataFrame:
    """Score the other manipulations' fakes with every cell of a method; write and give back a row a frame (COLUMNS).

    The scores of its own fakes, and of the reals that all tasks share, are those that evaluate left.
    """
    cells = [cell for cell in expected(params) if cell.family == method]
    parts: list[pd.DataFrame] = []
    for cell in progress(cells, len(cells), f"cross {method}", "model"):
        others = [name for name in params.manipulations if name != cell.manipulation]
        for fold in params.folds if others else ():
            detector, card = load(models / cell.folder / f"fold{fold}")
            for quality in tested_on(card.quality, params.compressions):
                batches = evaluation_loader(
                    [shards / name for name in others],
                    buckets=card.buckets["test"],
                    qualities=[quality],
                    image_size=card.image_size,
                    batch_size=params.evaluation.batch_size,
                    place=params.loader.place,
                    device=device(),
                )
                frames = score(detector, batches, quality, device()).frames
                parts.append(frames.assign(cell=cell.name, quality=quality, fold=fold)[COLUMNS])
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    with whole(out) as part:
        table.to_parquet(part, index=False)
    return table
