"""Train a classifier without a teacher on compressed crops: the plain backbone, or another baseline of Table 1."""

import argparse
from pathlib import Path

from pipeline.params import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.backbones import build
    from pipeline.classification import Classification
    from pipeline.device import seed_everything
    from pipeline.fitting import Cell, fit

    params = load()
    method = arguments.method
    cell = Cell(method, method, arguments.manipulation, arguments.compression, arguments.seed, arguments.fold)
    seed_everything(cell.seed)
    model = params.starts(method)
    task = Classification(build(cell.backbone, model.pretrained), cell.quality)
    recipe = params.recipe(params.baselines[method])
    settings = {"model": model.model_dump()}
    return fit(task, cell, recipe, settings, params, arguments.shards, arguments.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="the classifier, one of params baselines")
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--compression", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    _cli.run(parser, main)
