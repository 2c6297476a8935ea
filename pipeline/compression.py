"""Compress a set of videos at one rate factor (spec section 1: libx264, its defaults but for that factor)."""

from functools import partial
from pathlib import Path

from pipeline.errors import UserError
from pipeline.manifests import read_manifest, write_rejected
from pipeline.parallel import Rejected, map_videos
from pipeline.video import transcode


def compress(videos: Path, out: Path, crf: int, quality: str, workers: int | None = None) -> tuple[int, int]:
    """Encode each <videos>/<video>.mp4 of the manifest to <out>/<video>.mp4; the rest goes to <out>/rejected.csv.

    Returns the numbers of videos encoded and rejected. Raises: UserError where none is left.
    """
    names = list(read_manifest(videos)["video"])
    work = partial(_compress, source=videos, out=out, crf=crf)
    results = list(map_videos(work, names, workers=workers, what=f"compress {quality} {videos.name}"))
    bad = [result for result in results if isinstance(result, Rejected)]
    if len(bad) == len(names):
        raise UserError(f"{videos}: no video could be compressed{f'; the first: {bad[0].cause}' if bad else ''}")
    row = {"set": videos.name, "frame": "", "stage": f"compress-{quality}"}
    write_rejected(out, [row | {"video": result.item, "cause": result.cause} for result in bad])
    return len(names) - len(bad), len(bad)


def _compress(video: str, source: Path, out: Path, crf: int) -> None:
    transcode(source / f"{video}.mp4", out / f"{video}.mp4", crf)
