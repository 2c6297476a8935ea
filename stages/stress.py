"""Score the tested people's degraded crops with every trained model of a method; what detection survives."""

import argparse
from pathlib import Path

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.evaluation.stress import stress
    from pipeline.tracking.runs import track

    params, method = load(), arguments.method
    summary = stress(method, arguments.models, arguments.shards, arguments.stressed, arguments.out, params)
    settings = {"evaluation": params.evaluation.model_dump(), "folds": params.folds}
    with track(params.tracking, f"stress {method}", settings, {"stage": "stress", "method": method}) as run:
        for one in summary["points"]:
            keys = ("backbone", "manipulation", "compression", "point")
            measured = {name: one[name] for name in ("auc", "tpr_at_5") if one[name] is not None}
            run.metrics({f"{'.'.join(one[key] for key in keys)}.{name}": value for name, value in measured.items()})
    points = len({one["point"] for one in summary["points"]})
    return f"{method}: {len(summary['points'])} measurements at {points} points"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="folder of models: teacher, baseline, add, ...")
    parser.add_argument("--models", type=Path, required=True, help="folder of all trained models")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument(
        "--stressed", type=Path, required=True, help="folder of the degraded shards, <set>/<degradation>"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run_on_device(parser, main)
