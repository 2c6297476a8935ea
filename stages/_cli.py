"""How every stage starts: arguments in, one outcome line out, a mendable error as one line and exit status 1."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline import disk
from pipeline.errors import UserError


def run(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], str]) -> None:
    """Parse the command line, do `work`, print the outcome that it returns as one line after the stage's name."""
    name = Path(sys.argv[0]).stem
    parser.prog = f"python -m stages.{name}"
    try:
        outcome = work(parser.parse_args())
    except UserError as error:
        sys.exit(f"{name}: {error}")  # a string goes to stderr, exit status 1
    except OSError as error:
        if told := disk.full(error):
            sys.exit(f"{name}: {told}")
        raise
    print(f"{name}: {outcome}", flush=True)
