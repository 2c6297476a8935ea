"""Find the largest face of each sampled frame of a set, on raw:
python -m stages.detect --videos data/raw/original --frames data/frames/original.parquet --out data/boxes.parquet
"""

import argparse
from pathlib import Path

import pandas as pd

from pipeline import detection, params
from pipeline.errors import UserError
from pipeline.files import whole
from pipeline.resume import Scratch
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    frames = pd.read_parquet(arguments.frames)
    faces = settings.faces
    name = arguments.videos.name
    inputs = [arguments.videos, arguments.frames]
    with Scratch(f"detect-{name}", arguments.out, faces.model_dump(), inputs) as scratch:
        boxes = detection.find_boxes(
            arguments.videos,
            frames,
            faces.max_side,
            faces.enlarge,
            workers=settings.workers,
            cluster=settings.cluster.address,
            keep=scratch,
        )
        found = int(boxes["size"].notna().sum())
        if not found:
            raise UserError(f"{arguments.videos}: no face in any of the {len(boxes)} sampled frames")
        with whole(arguments.out) as part:
            boxes.to_parquet(part, index=False)
    return f"{name}: a face in {found} of {len(boxes)} frames"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the sampled frames")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    _cli.run(parser, main)
