"""Trained detectors on disk: weights as safetensors, and a card with all that is needed to load and use them."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.registry import build
from pipeline.work.errors import UserError

WEIGHTS, CARD = "model.safetensors", "model.json"
HISTORY, SUMMARY = "history.csv", "training.json"  # how the training went


class Card(BaseModel):
    """What a detector is. Inputs are RGB squares of image_size px, scaled to 0..1, less mean, over std."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    backbone: str
    manipulation: str
    pooled: tuple[str, ...] = ()  # of a task of several manipulations: these; `manipulation` is the task's name
    quality: str  # what it was trained on: raw, c23, c40, or all of them
    seed: int
    fold: int
    buckets: dict[str, tuple[str, ...]]  # train, val, test: the groups of people that it saw as what
    image_size: int
    mean: float
    std: float
    classes: tuple[str, str] = ("real", "fake")

    @property
    def manipulations(self) -> tuple[str, ...]:
        """The sets whose fakes it was trained on."""
        return self.pooled or (self.manipulation,)


def save(model: Backbone, card: Card, folder: Path) -> None:
    """Write the weights and the card into `folder`, which exists."""
    # Contiguous copies: safetensors refuses channels_last views.
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n")


def load(folder: Path) -> tuple[Backbone, Card]:
    """A detector in eval mode on the CPU, and its card.

    Raises UserError where files are missing or do not fit each other.
    """
    try:
        card = Card.model_validate(json.loads((folder / CARD).read_text()))
        model = build(card.backbone)
        model.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError:
        lacking = CARD if not (folder / CARD).exists() else WEIGHTS
        raise UserError(f"{folder}: {lacking} is missing; train the model again") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (CARD, *first["loc"])))
        raise UserError(f"{folder}: not a model of this version: {key}: {first['msg']}; train it again") from None
    except (ValueError, RuntimeError, KeyError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{folder}: not a model of this version: {reason[:200]}; train it again") from None
    return model.eval(), card
