"""Fakes of a set of real videos: the making of each clip, and what is written of it."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.crops.folds import gap
from pipeline.faces.tracks import Track, read_track
from pipeline.forging.blending import paste
from pipeline.forging.donors import generator
from pipeline.forging.planning import Job, plan, rows_by_video
from pipeline.forging.registry import MANIPULATIONS
from pipeline.forging.warping import cut_patches, face_width
from pipeline.params.schema import Params
from pipeline.videos.manifests import read_manifest, write_manifest, write_rejected
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import write_video
from pipeline.work.errors import NothingUsable, UserError, VideoError
from pipeline.work.files import whole_folder
from pipeline.work.parallel import Rejected, Workers, map_videos
from pipeline.work.resume import Scratch

Image = NDArray[np.uint8]
KEPT = "no face in the target's frame, left as it is"


def forge_set(
    manipulation: str,
    videos: Path,
    landmarks: Path,
    out: Path,
    *,
    per_target: int,
    width: int,
    seed: int,
    workers: Workers = None,
    folds: Params | None = None,
) -> tuple[int, int]:
    """Make the fakes of every video in videos/manifest.csv, with their manifest.csv and rejected.csv, in `out`.

    landmarks: the parquet file of the landmarks stage; per_target: fakes of each video, each with another donor;
    width: px, see warping. rejected.csv lists videos without a fake, and frames of fakes that are their target's.
    folds: the params, whose every fold must get fakes. Returns the numbers of fakes and of rejected videos.
    Raises: UserError where no fake can be made, or none for a fold.
    """
    manifest = read_manifest(videos)
    track = partial(read_track, landmarks)
    jobs, causes = plan(manifest, track, manipulation, per_target=per_target, width=width, seed=seed)
    targets = rows_by_video(manifest)
    if folds is not None:
        _check_folds(folds, manifest, {str(targets[job.target]["bucket"]) for job in jobs}, manipulation, causes)
    made: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = [
        {"video": video, "frame": "", "cause": cause} for video, cause in causes.items()
    ]
    what = f"forge {manipulation}"
    settings = {"per_target": per_target, "width": width, "seed": seed}
    with whole_folder(out) as part, Scratch(f"forge-{manipulation}", out, settings, [videos, landmarks]) as scratch:
        need = sum((videos / f"{job.target}.mp4").stat().st_size for job in jobs)  # lossless as well
        scratch.require_room(need, what)
        work = partial(make, videos=videos, landmarks=landmarks, out=scratch.folder)
        results = map_videos(work, jobs, workers=workers, what=what, name=lambda job: job.name, keep=scratch)
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Rejected):
                rejected.append({"video": job.name, "frame": "", "cause": result.cause})
            else:
                scratch.link(f"{job.name}.mp4", part)
                made.append(targets[job.target] | result)
                kept = _known(track(job.target)).unusable.tolist()
                rejected += [{"video": job.name, "frame": str(frame), "cause": KEPT} for frame in kept]
        if not made:
            causes_seen = dict.fromkeys(str(row["cause"]) for row in rejected)
            raise NothingUsable(
                f"{videos}: no {manipulation} can be made: {'; '.join(causes_seen) or 'there are no videos'}"
            )
        write_manifest(part, made)
        write_rejected(part, [row | {"set": manipulation, "stage": "forge"} for row in rejected])
    return len(made), sum(row["frame"] == "" for row in rejected)


def _check_folds(
    params: Params, manifest: pd.DataFrame, able: set[str], manipulation: str, causes: Mapping[str, str]
) -> None:
    people = {str(bucket): set(names) for bucket, names in manifest.groupby("bucket")["person"]}
    if able and (line := gap(params, able, people, f"no {manipulation} can be made")):
        first = next(iter(causes.items()))
        raise UserError(f"{line} ({len(causes)} videos cannot be forged; the first: {first[0]}: {first[1]})")


def make(job: Job, videos: Path, landmarks: Path, out: Path) -> dict[str, object]:
    """Make one fake from `videos` into the folder `out`; frames of the target without a face stay as they are.

    Returns the columns of its manifest row that differ from the target's. Raises: VideoError.
    """
    ours, theirs = (_known(read_track(landmarks, video)) for video in (job.target, job.donor.video))
    source, path = videos / f"{job.target}.mp4", out / f"{job.name}.mp4"
    info = probe(source)
    if info.frames != len(ours.found):
        raise VideoError(f"{info.frames} frames, but landmarks of {len(ours.found)}: run the landmarks stage again")
    points = ours.points[ours.usable]
    width = min(job.width, round(float(np.median(face_width(points)))))  # enlarging a small face would gain nothing
    target = cut_patches(_frames(source, ours.usable), points, width)
    donor = cut_patches(_frames(videos / f"{job.donor.video}.mp4", theirs.usable), theirs.points[theirs.usable], width)
    if job.donor.mirrored:
        donor = donor.mirrored()
    rng = generator(job.seed, job.manipulation, job.target, job.donor.video)
    faces, masks = MANIPULATIONS[job.manipulation](target, donor, rng)
    place = {int(frame): position for position, frame in enumerate(ours.usable)}

    def frames() -> Iterator[Image]:
        for index, frame in read_frames(source):
            at = place.get(index)
            yield frame if at is None else paste(frame, faces[at], masks[at], target.matrices[at])

    comment = f"synthetic: {job.manipulation} of {job.target} with {job.donor.video}"
    made = write_video(path, frames(), info.fps, (info.width, info.height), metadata={"comment": comment})
    if (made.frames, made.fps) != (info.frames, info.fps):
        raise VideoError(f"{info.frames} frames at {info.fps} became {made.frames} at {made.fps}")
    settings = {
        "face_width": width,
        "mirrored": job.donor.mirrored,
        "seed": job.seed,
        "yaw_difference": job.donor.yaw_difference,
    }
    return {
        "video": job.name,
        "label": 1,
        "target": job.target,
        "donor": job.donor.video,
        "parameters": json.dumps(settings, sort_keys=True, separators=(",", ":")),
    }


def _known(track: Track | None) -> Track:
    assert track is not None  # or no fake would have been planned
    return track


def _frames(video: Path, wanted: NDArray[np.intp]) -> Iterator[Image]:
    return (image for _, image in read_frames(video, wanted.tolist()))
