"""Train one model for raw and every compression, without a teacher: mixed qualities, or QAD."""

import argparse

from pipeline.params.schema import load
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    from pipeline.detectors.backbones.registry import build
    from pipeline.detectors.device import seed_everything
    from pipeline.losses import registry
    from pipeline.training.fitting import fit

    params, cell = load(), _cli.cell(arguments)
    seed_everything(cell.seed)
    student = build(cell.backbone, params.model.pretrained)
    task, section = registry.agnostic(cell.method, student, params)
    shown = {"model": params.model.model_dump(), "agnostic": section.model_dump(), "compressions": params.compressions}
    return fit(task, cell, arguments.fold, params.recipe(section), shown, params, arguments.shards, arguments.out)


if __name__ == "__main__":
    _cli.run_on_device(_cli.training_parser(__doc__), main)
