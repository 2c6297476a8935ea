"""Grad-CAM of the raw teacher, the compressed baseline and ADD on the same fakes, for the report's gallery."""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.evaluation.gallery import build

    task = (arguments.manipulation, arguments.compression)
    return build(arguments.models, arguments.shards, *task, arguments.out, params.load())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of all models")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--compression", required=True)
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    _cli.run(parser, main)
