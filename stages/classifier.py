"""Train a plain classifier: a teacher on raw crops, or a baseline of Table 1 on compressed ones."""

import argparse

from pipeline.params.cells import TEACHER
from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.detectors.backbones.registry import build
    from pipeline.detectors.device import seed_everything
    from pipeline.training.classification import Classification
    from pipeline.training.fitting import fit

    params, cell = load(), _cli.cell(arguments)
    teacher = cell.method == TEACHER
    model = params.model if teacher else params.starts(cell.backbone)
    recipe = params.recipe(params.teacher if teacher else params.baselines[cell.backbone])
    seed_everything(cell.seed)
    task = Classification(build(cell.backbone, model.pretrained), cell.compression)
    settings = {"model": model.model_dump()}
    return fit(task, cell, arguments.fold, recipe, settings, params, arguments.shards, arguments.out)


if __name__ == "__main__":
    _cli.run_on_device(_cli.training_parser(__doc__), main)
