"""Compress a set of videos at one rate factor (spec section 1: libx264, its defaults but for that factor)."""

from functools import partial
from pathlib import Path

from pipeline import disk
from pipeline.errors import UserError
from pipeline.manifests import read_manifest, write_rejected
from pipeline.parallel import Rejected, map_videos
from pipeline.resume import Scratch
from pipeline.video import transcode


def compress(
    videos: Path, out: Path, crf: int, quality: str, workers: int | None = None, cluster: str | None = None
) -> tuple[int, int]:
    """Encode each <videos>/<video>.mp4 of the manifest to <out>/<video>.mp4; the rest goes to <out>/rejected.csv.

    Returns the numbers of videos encoded and rejected. Raises: UserError where none is left, or the disk is too small.
    """
    names = list(read_manifest(videos)["video"])
    bad = []
    with Scratch(f"compress-{quality}-{videos.name}", out, {"crf": crf}, [videos]) as scratch:
        disk.require(scratch.folder, _need(videos, crf) - scratch.bytes(), f"compress {quality} {videos.name}")
        work = partial(_compress, source=videos, out=scratch.folder, crf=crf)
        what = f"compress {quality} {videos.name}"
        for result in map_videos(work, names, workers=workers, cluster=cluster, what=what, keep=scratch):
            if isinstance(result, Rejected):
                bad.append(result)
            else:
                scratch.link(result, out)
        if len(bad) == len(names):
            scratch.clear()  # what was mended meanwhile must not be found bad again
            raise UserError(f"{videos}: no video could be compressed{f'; the first: {bad[0].cause}' if bad else ''}")
        row = {"set": videos.name, "frame": "", "stage": f"compress-{quality}"}
        write_rejected(out, [row | {"video": result.item, "cause": result.cause} for result in bad])
    return len(names) - len(bad), len(bad)


def _compress(video: str, source: Path, out: Path, crf: int) -> str:
    transcode(source / f"{video}.mp4", out / f"{video}.mp4", crf)
    return f"{video}.mp4"


def _need(videos: Path, crf: int) -> int:
    """Bytes, estimated: six steps of the rate factor halve an H.264 stream, and lossless counts as none."""
    return round(sum(path.stat().st_size for path in videos.glob("*.mp4")) * 2 ** (-crf / 6))
