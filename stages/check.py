"""Refuse params that the schema refuses, before any name in them reaches a command line:
python -m stages.check --out data/checked.txt
"""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from pipeline.work.files import whole
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    params.load()
    with whole(arguments.out) as part:
        part.write_text("params.yaml is as pipeline/params/schema.py wants it\n")  # whatever the params: nothing reruns
    return "params.yaml is valid"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    _cli.run(parser, main)
