"""The explosion guard: distillation losses are known to blow up when switched on, so every step's terms are checked."""

import math

import torch

from pipeline.errors import UserError
from pipeline.losses.terms import Terms


def check_finite(terms: Terms, step: int) -> None:
    """Raise UserError where a loss term is inf or NaN, naming the term, its layers if known, the step and max w.

    One transfer from the device a call. The layers are those whose measures (`<term>..._stage<i>`) are not finite.
    """
    values = torch.stack([value.detach().float() for value in (*terms.losses.values(), *terms.measures.values())]).tolist()
    losses = dict(zip(terms.losses, values, strict=False))
    measures = dict(zip(terms.measures, values[len(losses) :], strict=True))
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if not bad:
        return
    family = bad[0].partition("_")[0]
    layers = sorted({name.rpartition("_")[2] for name, value in measures.items()
                     if name.startswith(family) and "_stage" in name and not math.isfinite(value)})
    where = f" in {', '.join(layers)}" if layers else ""
    w_max = measures.get("frequency_w_max")
    weight = f", max w {w_max:.4g}" if w_max is not None else ""
    raise UserError(
        f"loss term {' and '.join(bad)} is {losses[bad[0]]}{where} at step {step}{weight}: training stopped, the last good "
        "checkpoint is kept; lower train.lr, this loss's weight or, where max w is large, add.frequency.gamma"
    )
