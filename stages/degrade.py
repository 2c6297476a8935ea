"""Degrade the tested people's videos of a set, and cut the same squares into WebDataset shards."""

import argparse
from pathlib import Path

from pipeline.crops.degrading import degrade_set
from pipeline.crops.folds import fold
from pipeline.params import schema as params
from pipeline.params.degradations import chain
from pipeline.videos.sampling import COLUMNS, thin
from pipeline.work.files import read_parquet
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    tested = {name for number in settings.folds for name in fold(settings, number).test}
    frames = read_parquet(arguments.frames, COLUMNS)
    done, rejected = degrade_set(
        arguments.degradation,
        chain(arguments.degradation, settings.stress.chains),
        thin(frames[frames["bucket"].isin(tested)], settings.stress.frames),
        arguments.faces,
        arguments.raw,
        arguments.out,
        size=settings.crop.size,
        shard_frames=settings.crop.shard_frames,
        seed=settings.stress.seed,
        workers=settings.video_workers,
    )
    return f"{arguments.set} {arguments.degradation}: {done} frames in shards, {rejected} rejected"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--degradation", required=True, help="<kind>-<level>, or a name in stress.chains")
    parser.add_argument("--set", required=True, help="original or a manipulation")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the set's sampled frames")
    parser.add_argument("--faces", type=Path, required=True, help="folder of what detect left, a folder a set")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
