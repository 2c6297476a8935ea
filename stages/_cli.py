"""What the stages' scripts share: how they start, and the arguments of every training."""

import argparse
from pathlib import Path

from pipeline.params.cells import BASELINE, Cell
from pipeline.params.schema import load
from pipeline.work import starting

run = starting.run


def run_on_device(parser: argparse.ArgumentParser, work: starting.Work) -> None:
    """`run` for work with a network, where params.yaml says."""

    def place() -> tuple[str | None, int]:
        params = load()
        return params.cluster.address, params.jobs.per_gpu

    starting.run_on_device(parser, work, place)


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every training: which cell and fold, from which shards, into which folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--method", required=True, help="teacher, baseline, or the name of a method")
    parser.add_argument("--backbone", required=True, help="of the model, and of its teacher")
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--compression", required=True, help="of the crops that the model sees: one, raw, or all")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    return parser


def cell(arguments: argparse.Namespace) -> Cell:
    """The cell that the arguments of a training name."""
    method = arguments.backbone if arguments.method == BASELINE else arguments.method
    return Cell(method, arguments.backbone, arguments.manipulation, arguments.compression, arguments.seed)
