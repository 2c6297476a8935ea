"""What a training remembers: how far it is, the rows of its history, and how it ended."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.training.terms import Terms

Row = dict[str, float]  # one row of history.csv


@dataclass
class State:
    """How far a training is; with the modules and the optimizer, all that a resumed run needs."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    step: int = 0
    best: float = -math.inf  # validation accuracy
    best_step: int = 0
    stale: int = 0  # validations since the best
    stopped: bool = False
    skipped: int = 0  # steps that fp16 left out
    history: list[Row] = field(default_factory=list)


class Means:
    """Means of terms over the steps between two rows of the history; of a measure with _max in its name the largest."""

    def __init__(self) -> None:
        self.steps: list[Terms] = []  # left on the device: a read in every step would wait for a GPU

    def add(self, terms: Terms) -> None:
        self.steps.append(terms)

    def take(self) -> Row:
        """The row so far; a term that was absent in some steps is averaged over the others."""
        found: dict[str, list[Tensor]] = {}
        for terms in self.steps:
            for name, value in ({f"train_{n}": v for n, v in terms.losses.items()} | terms.measures).items():
                found.setdefault(name, []).append(value.float())
        self.steps = []
        stacked = {name: torch.stack(values) for name, values in found.items()}
        row = torch.stack([v.max() if "_max" in name else v.mean() for name, v in stacked.items()])
        return dict(zip(stacked, row.tolist(), strict=True))  # one read for all


@dataclass(frozen=True)
class Outcome:
    """A finished training. The student holds the selected weights."""

    history: list[Row]
    selected_step: int
    stopped_early: bool
