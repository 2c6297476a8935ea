"""Encode a set with H.264 at a constant rate factor, frame by frame, or take what its source publishes:
python -m stages.compress --quality c23 --videos data/raw/original --out data/compressed/original/c23
"""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from pipeline.videos import compression
from pipeline.work.errors import UserError
from pipeline.work.files import located
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    if arguments.quality not in settings.crf:
        raise UserError(f"params.yaml: crf has no rate factor for {arguments.quality}")
    crf = settings.crf[arguments.quality]
    tree = settings.faceforensics.path
    done, rejected = compression.compress(
        arguments.videos,
        arguments.out,
        crf,
        arguments.quality,
        settings.video_workers,
        located(tree) if tree else None,
    )
    return f"{arguments.videos.name} {arguments.quality}: {done} videos at crf {crf}, {rejected} rejected"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", required=True, help="name of a rate factor in the params, such as c23")
    parser.add_argument("--videos", type=Path, required=True, help="folder of the set's raw videos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
