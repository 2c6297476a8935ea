"""Choose the frames of each video of a set, seeded; no pixels:
python -m stages.sample --videos data/raw/original --out data/frames/original.parquet
"""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from pipeline.videos import sampling
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.work.errors import UserError
from pipeline.work.files import whole
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load().sample
    name = arguments.videos.name
    manifest, rejected = read_manifest(arguments.videos), read_rejected(arguments.videos)
    frames = sampling.sample(name, manifest, rejected, settings.frames, settings.seed)
    if frames.empty:
        raise UserError(f"{arguments.videos}: no usable frame in {len(manifest)} videos; see rejected.csv there")
    with whole(arguments.out) as part:
        frames.to_parquet(part, index=False)
    return f"{name}: {len(frames)} frames of {frames['video'].nunique()} videos"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    _cli.run(parser, main)
