"""The same fakes through the raw teacher, the compressed baseline and ADD: maps of where each looks.

They are left as numbers, so that the report draws them without loading torch.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.crops.shards import read_crops, read_index
from pipeline.detectors.card import Card, load
from pipeline.evaluation.gradcam import grad_cam
from pipeline.params.cells import ADD, RAW, TEACHER, Cell
from pipeline.params.schema import Params
from pipeline.work.files import whole

PEOPLE = 4


def build(models: Path, shards: Path, manipulation: str, compression: str, out: Path, params: Params) -> str:
    """Write an .npz of N frames: role, keys (N,), raw and compressed (N, S, S, 3) uint8, and for each of M detectors
    its name (M,), scores (M, N) and maps (M, N, S, S) in 0..1. Return the outcome in a line.

    The detectors are those of the first backbone, seed and fold. The frames are of people that this fold validates on,
    or trains on where it has no validation: test people are scored by evaluate alone.
    Raises UserError where a model or a shard is missing.
    """
    backbone, seed, fold = params.grid.backbones[0], params.grid.seeds[0], params.folds[0]
    cells = [Cell(TEACHER, backbone, manipulation, RAW, params.teacher.seed)]
    cells += [Cell(backbone, backbone, manipulation, compression, seed)] * (backbone in params.grid.baselines)
    cells += [Cell(ADD, backbone, manipulation, compression, seed)] * (ADD in params.grid.students)
    detectors = [load(models / cell.folder / f"fold{fold}") for cell in cells]
    card = detectors[0][1]
    role = "val" if card.buckets["val"] else "train"
    rows = _rows(read_index([shards / manipulation], card.buckets[role]))
    samples = [read_crops(row, (RAW, compression)) for _, row in rows.iterrows()]
    images = {q: np.stack([_window(sample[q], card) for sample in samples]) for q in (RAW, compression)}
    maps, scores = [], []
    for cell, (model, own) in zip(cells, detectors, strict=True):
        pixels = torch.from_numpy(images[cell.compression]).permute(0, 3, 1, 2) / 255  # (N, 3, S, S)
        inputs = (pixels - own.mean) / own.std
        maps.append(grad_cam(model, inputs).numpy().astype(np.float16))
        with torch.inference_mode():
            scores.append(model(inputs).logits.softmax(1)[:, 1].numpy())
    with whole(out) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            role=np.array(role),
            keys=rows["key"].to_numpy(str),
            raw=images[RAW],
            compressed=images[compression],
            detectors=np.array([cell.method for cell in cells]),
            scores=np.stack(scores),
            maps=np.stack(maps),
        )
    return f"{len(rows)} fakes through {', '.join(cell.method for cell in cells)} -> {out}"


def _rows(index: pd.DataFrame) -> pd.DataFrame:
    """The middle frame of one fake of each of up to PEOPLE people."""
    ordered = index.sort_values(["person", "video", "frame"])
    return pd.DataFrame([block.iloc[len(block) // 2] for _, block in ordered.groupby("person")][:PEOPLE])


def _window(crop: np.ndarray, card: Card) -> np.ndarray:
    """The middle image_size square of a crop (S, S, 3), which is what evaluation sees."""
    start = (len(crop) - card.image_size) // 2
    return crop[start : start + card.image_size, start : start + card.image_size]
