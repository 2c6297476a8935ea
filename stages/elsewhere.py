"""Test every trained model on another data set's crops, those of params.elsewhere with this name:
python -m stages.elsewhere --name celebdf --models models --own data/shards/original
    --out reports/cells/elsewhere-celebdf
"""

import argparse
from pathlib import Path

from pipeline.params.schema import load
from pipeline.work.errors import UserError
from pipeline.work.files import located
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.evaluation.elsewhere import evaluate_elsewhere
    from pipeline.tracking.runs import flat, track

    params = load()
    places = {one.name: located(one.shards) for one in params.elsewhere}
    if arguments.name not in places:
        raise UserError(f"params.yaml: elsewhere has no {arguments.name}")
    shards = places[arguments.name]
    summary = evaluate_elsewhere(arguments.name, shards, arguments.own, arguments.models, arguments.out, params)
    settings = {"evaluation": params.evaluation.model_dump(), "folds": params.folds}
    with track(params.tracking, arguments.out.name, settings, {"stage": "elsewhere", "data": arguments.name}) as run:
        for one in summary["results"]:
            keys = ("method", "backbone", "manipulation", "compression", "quality", "tested_on")
            measured = flat({level: one[level] for level in ("frame", "video")})
            run.metrics({f"{'.'.join(one[key] for key in keys)}.{name}": value for name, value in measured})
    counts = summary["counts"]
    return f"{arguments.name}: {summary['models']} models on {counts['frames']} frames of {counts['people']} people"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the data set in params.elsewhere")
    parser.add_argument("--models", type=Path, required=True, help="folder of all trained models")
    parser.add_argument("--own", type=Path, required=True, help="shards of this run's real videos")
    parser.add_argument("--out", type=Path, required=True, help="files to write, without suffix")
    _cli.run_on_device(parser, main)
