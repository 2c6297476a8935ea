"""A stage that trains the toy on a device, slowly, and notes where it begins each epoch, and each row of its history:
python -m tests.aids.toy_training --name a --out models/a
"""

import argparse
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from stages import _cli

EPOCHS, ROWS = 2, 6  # a row after each of the six batches of an epoch


def main(arguments: argparse.Namespace) -> str:
    import torch
    from safetensors.torch import save_file

    from pipeline.detectors.device import seed_everything
    from pipeline.params.schema import load
    from pipeline.training import trainer
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.classification import Classification
    from pipeline.training.history import Row
    from tests.aids.toys import Batch, Batches, Toy

    changes = {"epochs": EPOCHS, "validations_per_epoch": ROWS, "select": "last", "freeze_stages": 0}
    recipe = load().train.model_copy(update=changes)
    seed_everything(0)
    task = Classification(Toy(), "raw")
    node = _node()

    def note(what: str, step: int) -> None:
        with Path("notes.txt").open("a") as file:
            file.write(f"{arguments.name} {node} {what} {step}\n")

    def watch(row: Row) -> None:
        note("row", int(row["step"]))
        time.sleep(arguments.seconds)

    class Noted(Batches):
        def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
            note("from", number * len(self) + skip)
            return super().epoch(number, skip)

    trainer.CHECKPOINT_SECONDS = 0.0  # after every row
    checkpoint = Checkpoint({"name": arguments.name}, [])
    trainer.Trainer(task, recipe, Noted(), torch.device("cpu")).run(None, checkpoint, watch, arguments.name)
    arguments.out.mkdir(parents=True)
    weights = {name: value.contiguous() for name, value in task.student.state_dict().items()}
    save_file(weights, arguments.out / "model.safetensors")
    checkpoint.clear()
    return f"{arguments.name}: trained"


def _node() -> str:
    """The cluster's node that this runs on, or this machine."""
    try:
        import ray
    except ImportError:
        return socket.gethostname()
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else socket.gethostname()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="to wait after each row")
    parser.add_argument("--out", type=Path, required=True)
    _cli.run_on_device(parser, main)
