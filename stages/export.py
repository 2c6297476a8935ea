"""Make a folder that can be shipped of a trained and tested detector: networks, calibration, card, hashes."""

import argparse
from pathlib import Path

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.serving.export.exporting import export, registered

    params = load()
    found = export(arguments.model, arguments.cell, arguments.shards, arguments.raw, arguments.out, params)
    place = f", registered as {registered(arguments.out, params)}" if params.export.registered_as else ""
    warning = "" if found.video.holds else "; too few videos to promise the accepted rates"
    return f"{found.name} {found.quality}: calibrated on {found.video.people} people{warning}{place} -> {arguments.out}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with the models of all folds")
    parser.add_argument("--cell", type=Path, required=True, help="files that evaluate left, without suffix")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the real videos, with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)
