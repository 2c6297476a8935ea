"""How every stage starts: arguments in, one outcome line out, a mendable error as one line and exit status 1."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.params.cells import BASELINE, Cell
from pipeline.work import disk
from pipeline.work.errors import UserError
from pipeline.work.files import require_own_folder


def run(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], str]) -> None:
    """Parse the command line, do `work`, print the outcome that it returns as one line after the stage's name."""
    name = Path(sys.argv[0]).stem
    parser.prog = f"python -m stages.{name}"
    try:
        arguments = parser.parse_args()
        require_own_folder(arguments.out)
        outcome = work(arguments)
    except UserError as error:
        sys.exit(f"{name}: {error}")  # a string goes to stderr, exit status 1
    except OSError as error:
        if told := disk.full(error):
            sys.exit(f"{name}: {told}")
        raise
    print(f"{name}: {outcome}", flush=True)


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every training: which cell and fold, from which shards, into which folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--method", required=True, help="teacher, baseline, or the name of a distillation")
    parser.add_argument("--backbone", required=True, help="of the model, and of its teacher")
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--compression", required=True, help="of the crops that the model sees")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    return parser


def cell(arguments: argparse.Namespace) -> Cell:
    """The cell that the arguments of a training name."""
    method = arguments.backbone if arguments.method == BASELINE else arguments.method
    return Cell(method, arguments.backbone, arguments.manipulation, arguments.compression, arguments.seed)
