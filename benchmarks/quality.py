"""How well the rate factor of a video is recovered from its stream. Run from the root; FOLDER: videos of faces:

    python -m benchmarks.quality --videos FOLDER [--clips 10]

Each clip's first 50 frames are encoded by the pipeline at crf 18 to 45, and estimated three ways: as `predict` does it
(x264 states its rate factor); from the slices' quantisers alone, which is what other encoders leave; from bits a pixel
alone, for codecs that cannot be parsed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.examining import examine
from pipeline.videos.quality import OFFSET, by_bits, estimate
from pipeline.videos.reading import probe
from pipeline.videos.writing import transcode

WAYS = ("as used", "slices alone", "bits alone")
SUFFIXES = (".avi", ".mov", ".mp4", ".mpg", ".webm")
CRFS = (18, 20, 23, 26, 29, 32, 35, 38, 40, 43, 45)


def measure(video: Path, folder: Path) -> list[dict[str, object]]:
    raw = folder / "raw.mp4"
    cut(video, examine(video), {raw: Excerpt(frames=50, max_side=1280)})
    rows: list[dict[str, object]] = []
    for crf in CRFS:
        transcode(raw, folder / "encoded.mp4", crf)
        found = estimate(folder / "encoded.mp4", probe(folder / "encoded.mp4"))
        values = (found.crf, max(found.quantiser + OFFSET, 0), by_bits(found.bits))
        rows.append({"video": video.name, "crf": crf, **{way: v - crf for way, v in zip(WAYS, values, strict=True)}})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=10)
    arguments = parser.parse_args()
    videos = sorted(path for path in arguments.videos.rglob("*") if path.suffix in SUFFIXES)
    chosen = [videos[i] for i in np.linspace(0, len(videos) - 1, min(arguments.clips, len(videos))).astype(int)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for video in chosen:
            rows += measure(video, Path(folder))
    table = pd.DataFrame(rows)
    print(f"{len(chosen)} clips, errors of the estimated rate factor: mean (standard deviation), largest")
    print("| crf | " + " | ".join(WAYS) + " |")
    print("|--:|" + "--:|" * len(WAYS))
    for crf, part in [*table.groupby("crf"), ("all", table)]:
        shown = (f"{part[way].mean():+.1f} ({part[way].std():.1f}), {part[way].abs().max():.1f}" for way in WAYS)
        print(f"| {crf} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
