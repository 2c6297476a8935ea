"""What it costs to get from raw + c23 + c40 of a video to its paired crops, and to compress. Run from the root:

    python -m benchmarks.preprocessing --videos FOLDER                # FOLDER: clips of one face each; ~20 minutes
    python -m benchmarks.preprocessing --videos FOLDER --heights 360 --clips 1 --repeats 1 --parts crops

Clips are enlarged into 16:9 frames of each height over their own blurred picture, and encoded by the pipeline.
1. crops, one core: ours (detect + crop) against two others, in turn, on the same files and frames:
   - the procedure of the field's largest benchmark: for each quality, decode every frame; on each sampled one dlib at
     full size with one upsampling, align by the landmarks, dlib again on the aligned crop;
   - the bound: ffmpeg alone decoding the three files up to the last sampled frame, the detector alone on the frames it
     must see, cv2 alone encoding the crops.
   Both of a video alone, and with its five fakes as FaceForensics++ has them (the same file stands for each; measured
   once a repeat), in whose raw the procedure finds the face again; ours, like the bound, takes their target's boxes.
   Seconds are the processor's own, of this process and its children: other work on the machine blurs them little.
   Boxes: the overlap (IoU) of the two detections on raw, over all frames where both find a face, and who finds more.
   All of it with faces.near off, and on.
2. compress: the stage with two workers against two ffmpeg processes side by side, and against one worker; on the clock
   and in processor seconds.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from benchmarks.clips import Clip, make, manifest
from benchmarks.procedure import reference
from pipeline.crops.cropping import crop_video
from pipeline.crops.samples import Job
from pipeline.faces.boxes import Box, Image, archive_name
from pipeline.faces.sampled import Job as Searching
from pipeline.faces.sampled import Search, find_video, follow
from pipeline.faces.search import detect
from pipeline.fetching.weights import fetch
from pipeline.videos.ffmpeg_process import executable
from pipeline.videos.reading import probe, read_frames

SIZE, ENLARGE = 144, 1.3  # near params.yaml's crop.size and faces.enlarge
FAKES = 5  # of each original in FaceForensics++


def original(clip: Clip, search: Search, keep: Path) -> Mapping[int, Box]:
    """The work of the detect and crop stages on a video that is searched for faces; returns its boxes."""
    raw = clip.files["raw"]
    found = find_video(Searching(raw.stem, clip.wanted), raw.parent, search, keep).rows
    boxes = {frame: (left, top, size) for frame, left, top, size, _ in found if size is not None}
    crops(clip, boxes, keep / archive_name(raw.stem))  # type: ignore[arg-type]
    return boxes  # type: ignore[return-value]


def crops(clip: Clip, boxes: Mapping[int, Box], pixels: Path | None = None) -> list[dict[str, bytes]]:
    """The work of the crop stage; without `pixels`, on a fake: in its target's boxes, from its own files."""
    job = Job({"video": clip.files["raw"].stem}, dict(boxes), pixels)
    return crop_video(job, {quality: path.parent for quality, path in clip.files.items()}, SIZE)


def bound(clip: Clip, frames: Sequence[Image], squares: Sequence[Image], max_side: int) -> None:
    """What cannot be saved, each by its tool alone: decoding, detecting (no frames for a fake), encoding."""
    for path in clip.files.values():
        last = ["-frames:v", str(max(clip.wanted) + 1)]
        command = [executable(), "-v", "error", "-nostdin", "-threads", "1", "-i", str(path), *last, "-f", "null", "-"]
        subprocess.run(command, check=True)
    for image in frames:
        detect(image, max_side)
    for image in squares:
        cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 3])


def compare_crops(clips: Sequence[Clip], repeats: int, searches: Mapping[str, Search], keep: Path) -> None:
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(fetch("landmarks")))
    seconds: dict[str, list[float]] = {}
    overlaps: dict[str, list[float]] = {name: [] for name in searches}
    found = {name: {"both": 0, "ours alone": 0, "reference alone": 0, "neither": 0} for name in searches}
    whole = searches["ours"]
    for clip in clips:
        frames = list(read_frames(clip.files["raw"], clip.wanted))
        boxes = original(clip, whole, keep)
        packed = [png for sample in crops(clip, boxes) for png in sample.values()]
        squares = [np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)) for png in packed]
        theirs = reference(clip, detector, predictor)
        for name, search in searches.items():
            for index, _, faces in follow(frames, search):
                mine, box = next(iter(faces), None), theirs[index]
                found[name][_who(mine is not None, box is not None)] += 1
                if mine is not None and box is not None:
                    overlaps[name].append(iou(mine, (box.left(), box.top(), box.right() + 1, box.bottom() + 1)))
        sides: dict[str, Callable[[], object]] = {
            "reference": partial(reference, clip, detector, predictor),
            **{name: partial(original, clip, search, keep) for name, search in searches.items()},
            "ours, fake": partial(crops, clip, boxes),
            "bound": partial(bound, clip, [image for _, image in frames], squares, whole.max_side),
            "bound, fake": partial(bound, clip, [], squares, whole.max_side),
        }
        for _ in range(repeats):
            for name, side in sides.items():
                seconds.setdefault(name, []).append(processor(side))
    raw = clips[0].files["raw"]
    info = probe(raw)
    print(
        f"{info.width}x{info.height}, {len(clips)} clips, {len(clips[0].wanted)} of {info.frames} frames sampled, raw "
        f"{raw.stat().st_size / info.frames / info.width / info.height:.2f} bytes a pixel, {repeats} repeats a clip"
    )
    for name, values in seconds.items():
        print(f"  {name:<14}{statistics.median(values):8.3f} s ({min(values):.3f}..{max(values):.3f})")
    spent = {name: np.array(values) for name, values in seconds.items()}
    family = (1 + FAKES) * spent["reference"], spent["bound"] + FAKES * spent["bound, fake"]
    for name, boxed in overlaps.items():
        print(f"  {name}: a video      {_ratios(spent['reference'], spent[name], spent['bound'])}")
        print(
            f"  {name}: with {FAKES} fakes {_ratios(family[0], spent[name] + FAKES * spent['ours, fake'], family[1])}"
        )
        good = sum(value >= 0.8 for value in boxed)
        print(
            f"  {name}: IoU >= 0.8 on {good} of {len(boxed)}, least {min(boxed, default=0):.2f}; {found[name]}",
            flush=True,
        )


def compare_compress(raw: Path, names: Sequence[str], repeats: int, out: Path) -> None:
    seconds: dict[str, list[tuple[float, float]]] = {"bare": [], "two workers": [], "one worker": []}

    def bare() -> None:
        def encode(name: str) -> None:
            options = ["-an", "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "1", "-f", "mp4"]
            command = [executable(), "-v", "error", "-nostdin", "-y", "-threads", "1", "-i", str(raw / f"{name}.mp4")]
            subprocess.run([*command, *options, str(out / f"{name}.mp4")], check=True)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(encode, names))

    def stage(workers: int) -> None:  # on its own: spawned workers would load this benchmark's imports, too
        call = f"compress(Path({str(raw)!r}), Path({str(out / str(workers))!r}), 23, 'c23', {workers})"
        code = f"from pathlib import Path; from pipeline.videos.compression import compress; {call}"
        subprocess.run([sys.executable, "-c", code], check=True)

    out.mkdir()
    sides: dict[str, Callable[[], object]] = {
        "bare": bare,
        "two workers": lambda: stage(2),
        "one worker": lambda: stage(1),
    }
    for _ in range(repeats):
        for name, side in sides.items():
            start = time.perf_counter()
            spent = processor(side)
            seconds[name].append((time.perf_counter() - start, spent))
    print(f"compress {len(names)} videos at crf 23, {os.cpu_count()} cores, {repeats} repeats")
    for name, pairs in seconds.items():
        clock, spent = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        print(f"  {name:<12} clock {_spread(clock)} s, processor {_spread(spent)} s")
    clocks = {name: statistics.median(pair[0] for pair in pairs) for name, pairs in seconds.items()}
    print(f"  two workers reach {clocks['bare'] / clocks['two workers']:.0%} of bare ffmpeg's throughput, and", end=" ")
    print(f"{clocks['one worker'] / clocks['two workers']:.2f} times one worker's", flush=True)


def processor(work: Callable[[], object]) -> float:
    """Processor seconds of this process and its ended children."""

    def now() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    start = now()
    work()
    return now() - start


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared)


def _who(ours: bool, theirs: bool) -> str:
    if ours and theirs:
        return "both"
    return "ours alone" if ours else "reference alone" if theirs else "neither"


def _ratios(reference: Any, ours: Any, bound: Any) -> str:
    return f"reference / ours {_spread(reference / ours)}; ours / bound {_spread(ours / bound)}"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="folder of clips, each of one face")
    parser.add_argument("--heights", type=int, nargs="+", default=[360, 720, 1080])
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument(
        "--frames", type=int, default=19, help="sampled frames a clip; 19 of 75 is as dense as 64 of 250"
    )
    parser.add_argument("--face", type=float, default=1.0, help="height of the picture with the face, of the frame's")
    parser.add_argument("--max-side", type=int, default=400, help="params.yaml's faces.max_side")
    parser.add_argument("--near", type=int, default=12, help="faces.near where it is on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=["crops", "compress"], default=["crops", "compress"])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    searches = {
        "ours": Search(arguments.max_side, ENLARGE),
        f"near {arguments.near}": Search(arguments.max_side, ENLARGE, arguments.near),
    }
    sources = sorted(path for path in arguments.videos.iterdir() if path.suffix in (".mpg", ".mp4", ".avi", ".mov"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DVC_ROOT"] = folder
        for height in arguments.heights:
            root = Path(folder, str(height))
            clips = make(sources[: arguments.clips], height, arguments.face, arguments.frames, root)
            if "crops" in arguments.parts:
                compare_crops(clips, arguments.repeats, searches, Path(folder))
        if "compress" in arguments.parts:
            manifest(root / "raw", clips)
            names = [clip.files["raw"].stem for clip in clips]
            compare_compress(root / "raw", names, arguments.repeats, Path(folder, "encoded"))


if __name__ == "__main__":
    main()
