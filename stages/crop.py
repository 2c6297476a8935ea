"""Cut the same square from the raw and the compressed frames of a set, into WebDataset shards:
python -m stages.crop --set faceswap --frames data/frames/faceswap.parquet --faces data/faces \
    --raw data/raw/faceswap --compressed data/compressed/faceswap --out data/shards/faceswap
"""

import argparse
from pathlib import Path

from pipeline.crops import cropping
from pipeline.params import schema as params
from pipeline.videos.sampling import COLUMNS
from pipeline.work.files import read_parquet
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    frames = read_parquet(arguments.frames, COLUMNS)
    done, rejected = cropping.crop_set(
        frames=frames,
        faces=arguments.faces,
        raw=arguments.raw,
        compressed={quality: arguments.compressed / quality for quality in settings.compressions},
        out=arguments.out,
        size=settings.crop.size,
        shard_frames=settings.crop.shard_frames,
        workers=settings.video_workers,
    )
    outcome = f"{arguments.set}: {done} frames in shards, {rejected} rejected"
    # The crops may be there to be tested on elsewhere: what no fold can do with them stops a training, not this stage.
    lacking = cropping.lacking(settings, frames, arguments.out)
    return f"{outcome}; {lacking}" if lacking else outcome


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", required=True, help="original or a manipulation")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the set's sampled frames")
    parser.add_argument("--faces", type=Path, required=True, help="folder of what detect left, a folder a set")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--compressed", type=Path, required=True, help="folder of a folder of videos a quality")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
