"""Train a student under a frozen teacher that sees the raw crops: ADD, its ablations, and the other distillations."""

import argparse
from pathlib import Path

from pipeline.params import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline import models
    from pipeline.backbones import build
    from pipeline.device import seed_everything
    from pipeline.distillation import Distillation
    from pipeline.fitting import Cell, fit
    from pipeline.losses import registry

    params = load()
    method = arguments.method
    cell = Cell(
        method, arguments.backbone, arguments.manipulation, arguments.compression, arguments.seed, arguments.fold
    )
    teacher, _ = models.load(arguments.teacher)
    seed_everything(cell.seed)
    warm = method == "warm_start"
    student = build(cell.backbone, params.model.pretrained and not warm)
    if warm:
        student.load_state_dict(teacher.state_dict())
    distillers = registry.build(method, cell.backbone, params, student.channels, teacher.channels, cell.seed)
    task = Distillation(student, teacher, distillers, cell.quality)
    settings = {"model": params.model.model_dump(), **registry.settings(method, params)}
    weights = arguments.teacher / models.WEIGHTS
    recipe = params.recipe(registry.section(method, params))
    return fit(task, cell, recipe, settings, params, arguments.shards, arguments.out, (weights,))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True)
    parser.add_argument("--backbone", required=True, help="of the student and of its teacher")
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--compression", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the sets' shards")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher's model")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    _cli.run(parser, main)
