"""Clips to benchmark with: faces in 16:9 frames of any height, as a raw video and its compressed versions."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.videos.ffmpeg_process import executable
from pipeline.videos.manifests import write_manifest
from pipeline.videos.reading import probe
from pipeline.videos.writing import transcode

Files = Mapping[str, Path]  # quality -> video
QUALITIES = {"c23": 23, "c40": 40}


@dataclass(frozen=True)
class Clip:
    files: Files
    wanted: list[int]


def make_raw(source: Path, target: Path, height: int, face: float) -> None:
    """The clip in a 16:9 frame over its own blurred picture, `face` of the frame's height high, with a little noise."""
    width, inner = height * 16 // 9 // 2 * 2, round(height * face) // 2 * 2
    graph = (
        f"[0:v]split[a][b];[a]scale={width}:{height},boxblur=20[ground];[b]scale=-2:{inner}:flags=bicubic[face];"
        "[ground][face]overlay=(W-w)/2:(H-h)/2,noise=alls=1:allf=t:all_seed=1,format=yuv420p"
    )
    command = [executable(), "-v", "error", "-nostdin", "-y", "-i", str(source), "-filter_complex", graph, "-an"]
    encoding = ["-c:v", "libx264", "-crf", "0", "-preset", "veryfast", "-threads", "1"]
    subprocess.run([*command, *encoding, str(target)], check=True)


def make(sources: Sequence[Path], height: int, face: float, sampled: int, root: Path) -> list[Clip]:
    clips = []
    for number, source in enumerate(sources):
        files = {quality: root / quality / f"{source.stem}.mp4" for quality in ("raw", *QUALITIES)}
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        make_raw(source, files["raw"], height, face)
        for quality, crf in QUALITIES.items():
            transcode(files["raw"], files[quality], crf)
        frames = probe(files["raw"]).frames
        wanted = np.random.default_rng(number).choice(frames, min(sampled, frames), replace=False)
        clips.append(Clip(files, sorted(wanted.tolist())))
    return clips


def manifest(folder: Path, clips: Sequence[Clip]) -> None:
    rows: list[dict[str, object]] = []
    for clip in clips:
        info = probe(clip.files["raw"])
        size = {"frames": info.frames, "fps": float(info.fps), "width": info.width, "height": info.height}
        row = {"video": clip.files["raw"].stem, "person": "", "bucket": "b0", "label": 0, "target": "", "donor": ""}
        rows.append(row | size | {"parameters": "{}", "source": "", "licence": ""})
    write_manifest(folder, rows)
