"""Make fakes of real videos by one manipulation:
python -m stages.forge --manipulation faceswap --videos data/raw/original --landmarks data/landmarks/original.parquet
    --out data/raw/faceswap
"""

import argparse
from pathlib import Path

from pipeline.forging.fakes import forge_set
from pipeline.params import schema as params
from pipeline.work.errors import UserError
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    forge, manipulation = settings.forge, arguments.manipulation
    if manipulation not in forge.manipulations:
        raise UserError(f"params.yaml: forge.manipulations has no {manipulation}")
    made, rejected = forge_set(
        manipulation,
        arguments.videos,
        arguments.landmarks,
        arguments.out,
        per_target=forge.per_target,
        width=forge.face_width[manipulation],
        seed=forge.seed,
        workers=settings.video_workers,
        folds=settings,
    )
    return f"{manipulation}: {made} fakes made, {rejected} videos rejected"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manipulation", required=True, help="faceswap or reenactment")
    parser.add_argument("--videos", type=Path, required=True, help="folder of real videos with manifest.csv")
    parser.add_argument("--landmarks", type=Path, required=True, help="parquet file of the landmarks stage")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
