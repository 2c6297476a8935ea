"""Find the face of each sampled frame of a set, on raw, and keep its pixels:
python -m stages.detect --set original --raw data/raw --frames data/frames/original.parquet --out data/faces/original
"""

import argparse
from pathlib import Path

import pandas as pd

from pipeline.faces.detection import Search, When, detect_set
from pipeline.params import schema as params
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    fakes: dict[Path, When] = {}
    for name in settings.sets if arguments.set == "original" else ():
        if name != "original":
            published: When = "always" if settings.source == "folder" else "unproved"
            fakes[arguments.raw / name] = published if name in settings.published else "several"
    done = detect_set(
        arguments.raw / arguments.set,
        pd.read_parquet(arguments.frames),
        arguments.out,
        Search(**settings.faces.model_dump()),
        workers=settings.workers,
        cluster=settings.cluster.address,
        fakes=fakes,
    )
    outcome = f"{arguments.set}: a face in {done.found} of {done.frames} frames"
    outcome += f", in {done.chosen} not the largest but the one that is forged" if done.chosen else ""
    return outcome + (f"; {done.refused} frames of fakes show no forged face" if done.refused else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", required=True, help="original, or a set of fakes whose targets are not there")
    parser.add_argument("--raw", type=Path, required=True, help="folder with one folder of raw videos a set")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the sampled frames")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
