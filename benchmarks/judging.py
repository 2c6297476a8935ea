"""What a verdict on a 720p video costs on one core, and what memory it takes. Run from the root:

    OMP_NUM_THREADS=1 python -m benchmarks.judging --videos FOLDER --model models/export/NAME   # ~15 minutes
    ... --seconds 10 60 --clips 1 --repeats 5 --parts speed

FOLDER: clips of one face each. They are enlarged into 1280x720 frames over their own blurred picture, looped to the
length, and encoded at crf 23, 25 frames a second. Models are loaded before the clock starts.
1. speed: `predict`'s own judging of 32 frames (probe, quality, frames, every face, three networks, verdict) against the
   procedure of the field's largest benchmark on the same frames: decode every frame, dlib at full size with one
   upsampling on each sampled one, align, dlib again, then the same networks. In turn, on the same file. Seconds are the
   processor's own, of this process and its children, and of the video's own length.
2. memory: the peak of a fresh process that judges videos of growing length.
3. start: the whole command on one photo, by torch and by onnxruntime in turn, each a fresh process: its processor
   seconds and its peak.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import dlib
import numpy as np

from benchmarks.clips import Clip, make_raw
from benchmarks.preprocessing import processor
from benchmarks.procedure import reference
from pipeline.faces.boxes import Image
from pipeline.fetching.weights import fetch
from pipeline.serving.inputs import open_medium
from pipeline.serving.loading import Family, load_family
from pipeline.videos.ffmpeg_process import executable
from pipeline.videos.reading import probe
from pipeline.videos.sampling import spread

PARTS = ("speed", "memory", "start")
FRAMES, FPS = 32, 25
FACE = 0.5  # of the frame's height
MEMORY = (
    "import resource, sys; from pathlib import Path; from pipeline.serving.inputs import open_medium\n"
    "from pipeline.serving.loading import load_family\n"
    "load_family([Path(sys.argv[1])], onnx=None, threads=1).judge(open_medium(Path(sys.argv[2])), count=32)\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
)


def make(source: Path, seconds: int, folder: Path) -> Path:
    raw, out = folder / "raw.mp4", folder / f"{source.stem}-{seconds}.mp4"
    make_raw(source, raw, 720, FACE)
    command = [executable(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", str(raw), "-t", str(seconds)]
    encoding = ["-vf", f"fps={FPS}", "-an", "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "2"]
    subprocess.run([*command, *encoding, str(out)], check=True)
    return out


def ours(path: Path, family: Family) -> None:
    family.judge(open_medium(path), count=FRAMES)


def peers(path: Path, family: Family, detector: object, predictor: object) -> None:
    """The procedure finds and aligns; the networks see as many crops as it found faces."""
    wanted = spread(probe(path).frames, FRAMES)
    boxes = reference(Clip({"raw": path}, wanted), detector, predictor)
    found = sum(box is not None for box in boxes.values())
    size = family.members[0][1].preparation.crop_size
    crops: Image = np.zeros((found, size, size, 3), np.uint8)
    family.networks(family.nearest(23).quality).scores(crops)


def speed(sources: Sequence[Path], lengths: Sequence[int], family: Family, repeats: int, folder: Path) -> None:
    cv2.setNumThreads(1)
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(fetch("landmarks")))
    print("| video | predict, s | times faster than it plays | peers' procedure, s | predict is faster |")
    print("|:--|--:|--:|--:|--:|")
    for seconds in lengths:
        spent: dict[str, list[float]] = {"ours": [], "peers": []}
        for source in sources:
            path = make(source, seconds, folder)
            sides: dict[str, Callable[[], object]] = {
                "ours": partial(ours, path, family),
                "peers": partial(peers, path, family, detector, predictor),
            }
            ours(path, family)  # reads the networks
            for _ in range(repeats):
                for name, side in sides.items():
                    spent[name].append(processor(side))
        mine, theirs = np.array(spent["ours"]), np.array(spent["peers"])
        columns = (_spread(mine), _spread(seconds / mine), _spread(theirs), _spread(theirs / mine))
        print(f"| 720p, {seconds} s | {' | '.join(columns)} |", flush=True)


def memory(source: Path, lengths: Sequence[int], model: Path, folder: Path) -> None:
    for seconds in lengths:
        path = make(source, seconds, folder)
        done = subprocess.run([sys.executable, "-c", MEMORY, model, path], capture_output=True, text=True, check=True)
        print(f"{seconds} s of 720p: peak {float(done.stdout):.0f} MB", flush=True)


def start(source: Path, model: Path, repeats: int, folder: Path) -> None:
    photo = folder / "photo.png"
    subprocess.run([executable(), "-v", "error", "-y", "-i", str(source), "-frames:v", "1", str(photo)], check=True)
    spent: dict[str, list[tuple[float, float]]] = {"--torch": [], "--onnx": []}
    for _ in range(repeats):
        for runtime, seen in spent.items():
            command = [sys.executable, "-m", "pipeline.serving", "predict", str(photo), "--model", str(model), runtime]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command)
            seen.append((used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
    (torch_seconds, torch_peak), (onnx_seconds, onnx_peak) = (np.array(seen).T for seen in spent.values())
    print("| a photo, start included | torch | onnxruntime | torch / onnxruntime |\n|:--|--:|--:|--:|")
    for what, mine, theirs in (("seconds", onnx_seconds, torch_seconds), ("peak, MB", onnx_peak, torch_peak)):
        print(f"| {what} | {_spread(theirs)} | {_spread(mine)} | {_spread(theirs / mine)} |", flush=True)


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} ({values.min():.2f}..{values.max():.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="folder of clips, each of one face")
    parser.add_argument("--model", type=Path, required=True, help="folder of a shipped detector")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 30, 120])
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    sources = sorted(path for path in arguments.videos.rglob("*") if path.suffix in (".mp4", ".mpg"))[: arguments.clips]
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in arguments.parts:
            family = load_family([arguments.model], threads=1)
            speed(sources, arguments.seconds, family, arguments.repeats, Path(folder))
        if "memory" in arguments.parts:
            memory(sources[0], arguments.seconds, arguments.model, Path(folder))
        if "start" in arguments.parts:
            start(sources[0], arguments.model, arguments.repeats, Path(folder))


if __name__ == "__main__":
    main()
