"""Which frames of which video (spec section 1: a number of frames a video, chosen at random, seeded)."""

import random

import pandas as pd

COLUMNS = ["set", "video", "person", "bucket", "label", "target", "frame"]


def choose(target: str, frames: int, count: int, seed: int) -> list[int]:
    """At most `count` of range(frames), sorted, drawn for the target: its fakes get the same numbers in every set."""
    return sorted(random.Random(f"{seed}/{target}").sample(range(frames), min(count, frames)))


def sample(name: str, manifest: pd.DataFrame, rejected: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """The frames of a set as rows (set, video, person, bucket, label, target, frame), by video and frame.

    Frames that are rejected are left out after the draw, not replaced: a fake has no frame that its target, whose box
    it uses, lacks. rejected: rows (video, frame, ...) as text; frame is empty where the whole video is out.
    """
    never = set(zip(rejected["video"], rejected["frame"], strict=True))
    rows = []
    for video in manifest.to_dict("records"):
        if (video["video"], "") in never:
            continue
        shared = {column: video[column] for column in ("video", "person", "bucket", "label", "target")}
        for frame in choose(video["target"] or video["video"], video["frames"], count, seed):
            if (video["video"], str(frame)) not in never:
                rows.append({"set": name, **shared, "frame": frame})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"label": "int64", "frame": "int64"})
