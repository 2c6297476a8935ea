"""The small graph that the slow tests run: every stage as it is, on little."""

from pathlib import Path
from typing import Any, NamedTuple

# Ten people, one short clip each, one task, one fold with validation people; every stage as it is.
SMALL: dict[str, Any] = {
    "manipulations": ["faceswap"], "sets": ["original", "faceswap"], "folds": [0], "beta": 18.0,
    "split": {"buckets": 3, "validation": 1, "seed": 0},
    "sample_source": {"clip_frames": 12, "clips_per_person": 1},
    "sample": {"frames": 4, "seed": 0}, "crop": {"size": 72, "shard_frames": 10},
    "model": {"image_size": 64, "pretrained": True},
    "train": {"epochs": 1, "batch_size": 8, "validations_per_epoch": 2, "select": "best"},
    "forge": {"manipulations": ["faceswap"]}, "ablation": {"methods": []},
    "grid": {"distilled": ["warm_start", "at"], "agnostic": ["mixed"]},
    "stress": {"methods": ["teacher", "baseline", "add"], "degradations": ["h264-51"]}, "cross": {"methods": []},
}  # fmt: skip


class Finished(NamedTuple):
    """A run of it that is through. folder: of the clone; seconds: that each stage took."""

    folder: Path
    seconds: dict[str, float]
