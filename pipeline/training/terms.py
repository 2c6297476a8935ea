"""What every distillation loss returns: named terms that are minimised, named measures that are only watched."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Terms:
    """The outcome of one loss on one batch. The names are the ones seen in the log, in MLflow and in the plots.

    losses: scalars with gradient; their sum is what the loss adds to the objective, before its weight (alpha, beta).
    measures: detached scalars that explain the loss (max w, share of active hinges, ...).
    """

    losses: dict[str, Tensor]
    measures: dict[str, Tensor] = field(default_factory=dict)
