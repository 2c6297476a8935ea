"""What clips of one's own videos cost: examined and cut by frame numbers in one decoding, or by seeking. From the root:

    python -m benchmarks.cutting --video FILE                # FILE: a video of a face; ~5 minutes

The file is enlarged and repeated to videos of each height and length, H.264 at crf 23 with key frames 250 apart. Of
each video three clips of 75 frames are left, from its start, its middle and its end, by
- ours: every frame is decoded once to see that it is whole, and once more, up to the last clip, to cut all three;
- seeking, as it was before: nothing is decoded to see what the file is, and each clip by a seek to the key frame before
  its time. It begins elsewhere than it says where a container counts time in another way, and sees no damage.
Seconds of processor time; both sides in turn.
"""

import argparse
import statistics
import subprocess
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

from benchmarks.preprocessing import processor
from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.examining import examine
from pipeline.videos.ffmpeg_process import executable
from pipeline.videos.reading import TO_RGB, probe
from pipeline.videos.writing import TO_YUV

FRAMES, CLIPS, RATE = 75, 3, 25


def enlarged(source: Path, target: Path, height: int, seconds: int) -> None:
    command = [executable(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", str(source), "-an"]
    size = ["-vf", f"scale=-2:{height},fps={RATE},setpts=N/{RATE}/TB", "-frames:v", str(seconds * RATE)]
    subprocess.run([*command, *size, "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", str(target)], check=True)


def firsts(frames: int) -> list[int]:
    return [(frames - FRAMES) * k // (CLIPS - 1) for k in range(CLIPS)]


def ours(video: Path, out: Path) -> None:
    info = examine(video)
    cut(video, info, {out / f"{first}.mp4": Excerpt(first, FRAMES) for first in firsts(info.frames)})


def seeking(video: Path, out: Path) -> None:
    for first in firsts(probe(video).frames):
        info = probe(video)
        start = str(float((first - Fraction(1, 2)) / info.fps)) if first else "0"
        command = [
            executable(),
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-threads",
            "1",
            "-ss",
            start,
            "-i",
            str(video),
            "-an",
        ]
        filters = f"{TO_RGB},{TO_YUV},settb=1/{RATE},setpts=N"
        encoding = ["-c:v", "libx264", "-crf", "0", "-preset", "ultrafast", "-threads", "1"]
        target = out / f"{first}.mp4"
        subprocess.run([*command, "-vf", filters, "-frames:v", str(FRAMES), *encoding, str(target)], check=True)
        probe(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--heights", type=int, nargs="+", default=[360, 1080])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    sides = {"ours": ours, "seeking": seeking, "of ours, examining": lambda video, _: examine(video)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for height in arguments.heights:
            for seconds in arguments.seconds:
                video = folder / f"{height}-{seconds}.mp4"
                enlarged(arguments.video, video, height, seconds)
                spent: dict[str, list[float]] = {side: [] for side in sides}
                for _ in range(arguments.repeats):
                    for side, work in sides.items():
                        spent[side].append(processor(partial(work, video, folder)) / CLIPS)
                ratios = [one / other for one, other in zip(spent["ours"], spent["seeking"], strict=True)]
                print(f"{height} lines, {seconds} s, {arguments.repeats} repeats: seconds a clip")
                for side, values in spent.items():
                    print(f"  {side:<20}{statistics.median(values):7.3f} ({min(values):.3f}..{max(values):.3f})")
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
                print(f"  ours / seeking      {spread}", flush=True)


if __name__ == "__main__":
    main()
