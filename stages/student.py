"""Train a student under a frozen teacher that sees the raw crops: ADD, its ablations, and the other distillations."""

import argparse
from pathlib import Path

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.detectors import card
    from pipeline.detectors.backbones.registry import build
    from pipeline.detectors.device import seed_everything
    from pipeline.losses import registry
    from pipeline.training.distillation import Distillation
    from pipeline.training.fitting import fit

    params, cell = load(), _cli.cell(arguments)
    teacher, _ = card.load(arguments.teacher)
    seed_everything(cell.seed)
    from_teacher = registry.section(cell.method, params).start == "teacher"
    student = build(cell.backbone, params.model.pretrained and not from_teacher)
    if from_teacher:
        student.load_state_dict(teacher.state_dict())
    distillers = registry.build(cell.method, cell.backbone, params, student.channels, teacher.channels, cell.seed)
    task = Distillation(student, teacher, distillers, cell.compression)
    settings = {"model": params.model.model_dump(), **registry.settings(cell.method, params)}
    recipe = params.recipe(registry.section(cell.method, params))
    weights = arguments.teacher / card.WEIGHTS
    return fit(task, cell, arguments.fold, recipe, settings, params, arguments.shards, arguments.out, (weights,))


if __name__ == "__main__":
    parser = _cli.training_parser(__doc__)
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher's model")
    _cli.run_on_device(parser, main)
