"""Score the test people with a trained model, fold by fold, and write what the scores amount to."""

import argparse
from pathlib import Path
from typing import Any

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.evaluation.evaluation import evaluate
    from pipeline.tracking.runs import flat, track

    params = load()
    names = (params.folds, params.compressions)
    summary = evaluate(arguments.model, *names, arguments.shards, params.evaluation, params.loader, arguments.out)
    tags = {key: summary[key] for key in ("method", "backbone", "manipulation", "compression", "seed")}
    settings = {"evaluation": params.evaluation.model_dump(), "folds": params.folds}
    with track(params.tracking, f"evaluate {arguments.out.name}", settings, {"stage": "evaluate", **tags}) as run:
        for quality, result in summary["results"].items():
            measured = flat({level: result[level] for level in ("frame", "video")})
            run.metrics({f"{quality}.{name}": value for name, value in measured})
    found = ", ".join(_told(quality, result) for quality, result in summary["results"].items())
    return f"{arguments.out.name}: AUC per frame {found} on {summary['counts']['persons']} people"


def _told(quality: str, result: dict[str, Any]) -> str:
    from pipeline.evaluation.summary import without_auc

    auc = result["frame"]["auc"]
    why = without_auc(result)
    return f"{quality} {f'{auc:.3f}' if auc == auc else 'none'}{f' ({why})' if why else ''}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with the models of all folds")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--out", type=Path, required=True, help="files to write, without suffix")
    _cli.run_on_device(parser, main)
