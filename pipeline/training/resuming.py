"""All that a killed training needs to go on to the same bits: what a checkpoint holds, and how it is taken up."""

import copy
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.training.checkpoint import Checkpoint
from pipeline.training.history import State

if TYPE_CHECKING:
    from pipeline.training.trainer import Trainer


def held(trainer: "Trainer") -> dict[str, Any]:
    """The whole state of a training."""
    device = trainer.device
    return {
        "state": vars(trainer.state),
        "student": trainer.student.state_dict(),
        "distillers": _distillers(trainer).state_dict(),
        "best": trainer.best_weights,
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "random": torch.get_rng_state(),
        # Of the one device that trains: another machine may have fewer of them.
        "cuda_random": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def resume(trainer: "Trainer", checkpoint: Checkpoint) -> bool:
    """Take up what the checkpoint holds; False, and nothing of it taken, where there is none or it does not fit."""
    found = checkpoint.load()
    if found is None:
        return False
    fresh = copy.deepcopy(held(trainer))
    try:
        restore(trainer, found)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        restore(trainer, fresh)  # what does not fit may have been taken in part
        checkpoint.refuse(error)
        return False
    print(f"resumed at step {trainer.state.step} from {checkpoint.path.name}", file=sys.stderr, flush=True)
    return True


def restore(trainer: "Trainer", found: Mapping[str, Any]) -> None:
    """Put a training into the state that `held` gave. Raises one of many errors where it does not fit."""
    if found["state"].keys() != vars(State()).keys():
        raise ValueError("it holds another state than this version's")
    trainer.state = State(**found["state"])
    trainer.student.load_state_dict(found["student"])
    _distillers(trainer).load_state_dict(found["distillers"])
    trainer.best_weights = found["best"]
    trainer.optimizer.load_state_dict(found["optimizer"])
    trainer.scheduler.load_state_dict(found["scheduler"])
    trainer.scaler.load_state_dict(found["scaler"])
    torch.set_rng_state(found["random"])
    if trainer.device.type == "cuda" and found["cuda_random"] is not None:
        torch.cuda.set_rng_state(found["cuda_random"], trainer.device)


def _distillers(trainer: "Trainer") -> nn.Module:
    """The losses with a state of their own (regressors, generators); empty for a classifier."""
    found: nn.Module = getattr(trainer.task, "distillers", nn.ModuleDict())
    return found
