"""Which fakes to make of a set of real videos: who lends a face to whom."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.crops.folds import SWAPS
from pipeline.faces.tracks import Track
from pipeline.forging.donors import Clip, Donor, choose, generator, pose
from pipeline.forging.registry import MANIPULATIONS
from pipeline.work.errors import UserError

MIN_FRAMES = 8  # with a face: a shorter appearance is not worth a fake


@dataclass(frozen=True)
class Job:
    """One fake to make."""

    manipulation: str
    target: str
    donor: Donor
    width: int  # px: the resolution of the forged face
    seed: int

    @property
    def name(self) -> str:
        return f"{self.target}__{self.donor.video}"


def plan(
    manifest: pd.DataFrame,
    track_of: Callable[[str], Track | None],
    manipulation: str,
    *,
    per_target: int,
    width: int,
    seed: int,
) -> tuple[list[Job], dict[str, str]]:
    """The fakes to make of the videos in the manifest, and the cause for each video of which none is made.

    Raises: UserError where the manipulation is unknown.
    """
    if manipulation not in MANIPULATIONS:
        known = ", ".join(MANIPULATIONS)
        raise UserError(f"forge.manipulations: {manipulation} is none of those that can be made here: {known}")
    rejected: dict[str, str] = {}
    clips: list[Clip] = []
    for video, row in rows_by_video(manifest).items():
        track = track_of(video)
        if track is None or len(track.usable) < MIN_FRAMES:
            rejected[video] = f"fewer than {MIN_FRAMES} frames with a face"
        else:
            yaw = float(pose(track.points[track.usable])[:, 0].mean())
            clips.append(Clip(video, str(row["person"]), str(row["bucket"]), yaw))
    jobs = []
    other_person = manipulation in SWAPS
    for clip in clips:
        rng = generator(seed, manipulation, clip.video)
        donors = choose(clip, clips, per_target, other_person, rng)
        if not donors:
            rejected[clip.video] = (
                f"no donor: bucket {clip.bucket} holds no other {'person' if other_person else 'clip'}"
            )
        for donor in donors:
            jobs.append(Job(manipulation, clip.video, donor, width, seed))
    return jobs, rejected


def rows_by_video(manifest: pd.DataFrame) -> dict[str, dict[str, object]]:
    """The manifest's rows by their videos."""
    return {str(row["video"]): {str(key): value for key, value in row.items()} for row in manifest.to_dict("records")}
