"""What it costs to get from raw + c23 + c40 of a video to its paired crops, and to compress. Run from the root:

    python -m benchmarks.preprocessing --videos FOLDER                # FOLDER: clips of one face each; ~20 minutes
    python -m benchmarks.preprocessing --videos FOLDER --heights 360 --clips 1 --repeats 1 --parts crops

Clips are enlarged into 16:9 frames of each height over their own blurred picture, and encoded by the pipeline.
1. crops, one core: ours (detect + crop) against two others, in turn, on the same files and frames:
   - the procedure of the field's largest benchmark: for each quality, decode every frame; on each sampled one dlib at
     full size with one upsampling, align by the landmarks, dlib again on the aligned crop;
   - the bound: ffmpeg alone decoding the three files up to the last sampled frame, the detector alone on the frames it
     must see, cv2 alone encoding the crops.
   Seconds are the processor's own, of this process and its children: other work on the machine blurs them little.
   Boxes: the overlap (IoU) of the two detections on raw, over all frames where both find a face, and who finds more.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from pipeline.cropping import Job, crop_video
from pipeline.detection import find_video
from pipeline.faces import detect
from pipeline.ffmpeg_process import executable
from pipeline.manifests import write_manifest
from pipeline.video import probe, read_frames, transcode
from pipeline.weights import fetch

Image = NDArray[np.uint8]
Files = Mapping[str, Path]  # quality -> video
QUALITIES = {"c23": 23, "c40": 40}
SIZE, ENLARGE, MAX_SIDE = 144, 1.3, 400  # params.yaml's crop.size and faces
ALIGNED = 256  # px of the reference's crops
# Of those crops: outer eye corners, nose tip and mouth corners, for a face in the middle.
TEMPLATE = np.array([[0.27, 0.39], [0.73, 0.39], [0.5, 0.57], [0.35, 0.74], [0.65, 0.74]], np.float32) * ALIGNED


@dataclass(frozen=True)
class Clip:
    files: Files
    wanted: list[int]


def reference(clip: Clip, detector: Any, predictor: Any) -> dict[int, Any]:
    """The field's procedure; returns its boxes on raw."""
    boxes: dict[int, Any] = {}
    for quality, path in clip.files.items():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        index = 0
        while (grabbed := capture.read())[0]:
            if index in clip.wanted:
                image = cv2.cvtColor(grabbed[1], cv2.COLOR_BGR2RGB)
                box = _largest(detector(image, 1))
                if quality == "raw":
                    boxes[index] = box
                if box is not None:
                    points = _five(predictor(image, box))
                    matrix = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
                    aligned = cv2.warpAffine(image, matrix, (ALIGNED, ALIGNED))
                    if (again := _largest(detector(aligned, 1))) is not None:
                        predictor(aligned, again)
                    cv2.imencode(".png", cv2.cvtColor(aligned, cv2.COLOR_RGB2BGR))
            index += 1
    return boxes


def ours(clip: Clip) -> list[dict[str, bytes]]:
    """The work of the detect and crop stages on one video."""
    raw = clip.files["raw"]
    found = find_video((raw.stem, clip.wanted), raw.parent, MAX_SIDE, ENLARGE)
    boxes = {frame: (left, top, size) for frame, left, top, size in found if size is not None}
    job = Job({"video": raw.stem}, boxes)  # type: ignore[arg-type]
    return crop_video(job, {quality: path.parent for quality, path in clip.files.items()}, SIZE)


def bound(clip: Clip, frames: Sequence[Image], crops: Sequence[Image]) -> None:
    """What cannot be saved, each by its tool alone: decoding, detecting, encoding."""
    for path in clip.files.values():
        last = ["-frames:v", str(max(clip.wanted) + 1)]
        command = [executable(), "-v", "error", "-nostdin", "-threads", "1", "-i", str(path), *last, "-f", "null", "-"]
        subprocess.run(command, check=True)
    for image in frames:
        detect(image, MAX_SIDE)
    for image in crops:
        cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 3])


def compare_crops(clips: Sequence[Clip], repeats: int, height: int) -> None:
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(fetch("landmarks")))
    seconds: dict[str, list[float]] = {"reference": [], "ours": [], "bound": []}
    overlaps: list[float] = []
    found = {"both": 0, "ours alone": 0, "reference alone": 0, "neither": 0}
    for clip in clips:
        frames = [image for _, image in read_frames(clip.files["raw"], clip.wanted)]
        packed = [png for sample in ours(clip) for png in sample.values()]
        crops = [np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)) for png in packed]
        for index, box in reference(clip, detector, predictor).items():
            mine = detect(frames[clip.wanted.index(index)], MAX_SIDE)
            found[_who(mine is not None, box is not None)] += 1
            if mine is not None and box is not None:
                overlaps.append(iou(mine, (box.left(), box.top(), box.right() + 1, box.bottom() + 1)))
        sides: dict[str, Callable[[], object]] = {
            "reference": lambda clip=clip: reference(clip, detector, predictor),  # type: ignore[misc]
            "ours": lambda clip=clip: ours(clip),  # type: ignore[misc]
            "bound": lambda clip=clip, frames=frames, crops=crops: bound(clip, frames, crops),  # type: ignore[misc]
        }
        for _ in range(repeats):
            for name, side in sides.items():
                seconds[name].append(processor(side))
    raw = clips[0].files["raw"]
    info = probe(raw)
    print(
        f"{info.width}x{height}, {len(clips)} clips, {len(clips[0].wanted)} of {info.frames} frames sampled, raw "
        f"{raw.stat().st_size / info.frames / info.width / height:.2f} bytes a pixel, {repeats} repeats a clip"
    )
    for name, values in seconds.items():
        print(f"  {name:<10}{statistics.median(values):8.3f} s ({min(values):.3f}..{max(values):.3f})")
    ratio = {
        name: [other / own for other, own in zip(seconds[name], seconds["ours"], strict=True)]
        for name in ("reference", "bound")
    }
    print(f"  reference / ours {_spread(ratio['reference'])}; ours / bound {_spread([1 / r for r in ratio['bound']])}")
    good = sum(value >= 0.8 for value in overlaps)
    print(
        f"  boxes: IoU >= 0.8 on {good} of {len(overlaps)}, least {min(overlaps, default=0):.2f}; {found}", flush=True
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
        code = f"from pathlib import Path; from pipeline.compression import compress; {call}"
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


def _manifest(folder: Path, clips: Sequence[Clip]) -> None:
    rows: list[dict[str, object]] = []
    for clip in clips:
        info = probe(clip.files["raw"])
        size = {"frames": info.frames, "fps": float(info.fps), "width": info.width, "height": info.height}
        row = {"video": clip.files["raw"].stem, "person": "", "bucket": "b0", "label": 0, "target": "", "donor": ""}
        rows.append(row | size | {"parameters": "{}", "source": "", "licence": ""})
    write_manifest(folder, rows)


def _largest(faces: Any) -> Any:
    return max(faces, key=lambda box: box.area(), default=None)


def _five(shape: Any) -> NDArray[np.float32]:
    return np.array([(shape.part(i).x, shape.part(i).y) for i in (36, 45, 30, 48, 54)], np.float32)


def _who(ours: bool, theirs: bool) -> str:
    if ours and theirs:
        return "both"
    return "ours alone" if ours else "reference alone" if theirs else "neither"


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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=["crops", "compress"], default=["crops", "compress"])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    sources = sorted(path for path in arguments.videos.iterdir() if path.suffix in (".mpg", ".mp4", ".avi", ".mov"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DVC_ROOT"] = folder
        for height in arguments.heights:
            root = Path(folder, str(height))
            clips = make(sources[: arguments.clips], height, arguments.face, arguments.frames, root)
            if "crops" in arguments.parts:
                compare_crops(clips, arguments.repeats, height)
        if "compress" in arguments.parts:
            _manifest(root / "raw", clips)
            names = [clip.files["raw"].stem for clip in clips]
            compare_compress(root / "raw", names, arguments.repeats, Path(folder, "encoded"))


if __name__ == "__main__":
    main()
