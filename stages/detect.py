"""Find the largest face of each sampled frame of a set, on raw, and keep its pixels:
python -m stages.detect --videos data/raw/original --frames data/frames/original.parquet --out data/faces/original
"""

import argparse
from pathlib import Path

import pandas as pd

from pipeline.faces.detection import Search, detect_set
from pipeline.params import schema as params
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    found, frames = detect_set(
        arguments.videos,
        pd.read_parquet(arguments.frames),
        arguments.out,
        Search(**settings.faces.model_dump()),
        workers=settings.workers,
        cluster=settings.cluster.address,
    )
    return f"{arguments.videos.name}: a face in {found} of {frames} frames"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the sampled frames")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
