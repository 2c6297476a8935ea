"""Score the fakes of the manipulations that a method's models were not trained on."""

import argparse
from pathlib import Path

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.evaluation.cross import cross

    table = cross(arguments.method, arguments.models, arguments.shards, arguments.out, load())
    return f"{arguments.method}: {len(table)} scores of {table['cell'].nunique()} cells on other manipulations' fakes"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="folder of models: baseline, add, ...")
    parser.add_argument("--models", type=Path, required=True, help="folder of all trained models")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--out", type=Path, required=True, help="the parquet to write")
    _cli.run_on_device(parser, main)
