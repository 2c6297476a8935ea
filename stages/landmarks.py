"""Find the face and its 68 landmarks in every frame of a set, for the forge:
python -m stages.landmarks --videos data/raw/original --out data/landmarks/original.parquet
"""

import argparse
from pathlib import Path

from pipeline.crops.folds import unforgeable
from pipeline.faces.landmarks import track_set
from pipeline.fetching.weights import fetch
from pipeline.params import schema as params
from pipeline.videos.manifests import read_manifest
from pipeline.work.errors import UserError
from pipeline.work.resume import Scratch
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    manifest = read_manifest(arguments.videos)
    if line := unforgeable(settings, list(zip(manifest["bucket"], manifest["person"], strict=True))):
        raise UserError(f"{arguments.videos}: {line}")
    side, model = settings.faces.max_side, fetch("landmarks")
    inputs = [arguments.videos, model]
    with Scratch(f"landmarks-{arguments.videos.name}", arguments.out, {"max_side": side}, inputs) as scratch:
        return track_set(arguments.videos, arguments.out, side, model, settings.video_workers, scratch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    _cli.run(parser, main)
