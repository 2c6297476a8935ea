"""Which frames of which video (a number of frames a video, chosen at random, seeded)."""

import json
import random
from collections.abc import Collection

import numpy as np
import pandas as pd

COLUMNS = ["set", "video", "person", "bucket", "label", "target", "frame"]


def choose(target: str, frames: int, count: int, seed: int) -> list[int]:
    """At most `count` of range(frames), sorted, drawn for the target: its fakes get the same numbers in every set."""
    return sorted(random.Random(f"{seed}/{target}").sample(range(frames), min(count, frames)))


def spread(frames: int, count: int) -> list[int]:
    """At most `count` of range(frames), sorted: the middles of as many equal parts."""
    count = min(frames, count)
    return [(2 * part + 1) * frames // (2 * count) for part in range(count)]


def sample(name: str, manifest: pd.DataFrame, rejected: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """The frames of a set as rows (set, video, person, bucket, label, target, frame), by video and frame.

    Frames that are rejected are left out after the draw, not replaced: a fake has no frame that its target, whose box
    it uses, lacks. Where a source makes fakes that end with the shorter of two videos, the numbers are drawn from the
    frames that all share (parameters, `shared_frames`), or its target's frames would be of no use to it.
    rejected: rows (video, frame, ...) as text; frame is empty where the whole video is out.
    """
    never = set(zip(rejected["video"], rejected["frame"], strict=True))
    rows = []
    for video in manifest.to_dict("records"):
        if (video["video"], "") in never:
            continue
        shared = {column: video[column] for column in ("video", "person", "bucket", "label", "target")}
        shared_frames = json.loads(video["parameters"]).get("shared_frames", video["frames"])
        for frame in choose(video["target"] or video["video"], shared_frames, count, seed):
            if frame < video["frames"] and (video["video"], str(frame)) not in never:
                rows.append({"set": name, **shared, "frame": frame})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"label": "int64", "frame": "int64"})


def thin(frames: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """At most `count` rows of each (set, video), evenly over its frames: first, last and between; None keeps all."""
    if count is None:
        return frames
    groups = frames.groupby(["set", "video"])["frame"]
    number, size = groups.rank("first").to_numpy(int) - 1, groups.transform("size").to_numpy(int)
    kept = [int(n) in _even(int(total), count) for n, total in zip(number, size, strict=True)]
    return frames[np.array(kept, bool)].reset_index(drop=True)


def _even(total: int, count: int) -> Collection[int]:
    return set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
