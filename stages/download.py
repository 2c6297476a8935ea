"""Leave a set of the chosen source as lossless videos:
python -m stages.download --set original --out data/raw/original
"""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from pipeline.sources import registry as sources
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    return sources.download(params.load(), arguments.set, arguments.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", required=True, help="original, or a manipulation that the source publishes")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
