"""The explosion guard: distillation losses are known to blow up when switched on; training stops where one does.

Without a fused optimizer the loss of each step is checked before the weights are stepped. On a GPU that check would
wait for the device in every step. There the fused optimizer itself writes nothing where the loss is not finite
(`hold_back`), and the losses of all steps since the last row of the history are checked together, before anything is
validated or saved.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.training.terms import Terms
from pipeline.work.errors import UserError

TOTAL = "loss"  # the name of the sum of all losses


def hold_back(optimizer: Any, loss: Tensor) -> None:
    """Have a fused optimizer's next step write nothing, neither weights nor moments, if the loss is not finite.

    The device decides, so nothing waits for it. torch.amp.GradScaler has fused optimizers skip a step the same way.
    """
    optimizer.found_inf = (~loss.detach().isfinite()).float()


def check_steps(steps: Sequence[Terms], first: int) -> None:
    """`check_finite` for consecutive steps from number `first` on, with one transfer of their total losses."""
    finite = torch.stack([terms.losses[TOTAL] for terms in steps]).isfinite().tolist()
    if not all(finite):
        bad = finite.index(False)
        check_finite(steps[bad], first + bad)


def check_finite(terms: Terms, step: int) -> None:
    """Raise UserError where a loss term is inf or NaN, naming the term, its layers if known, the step and max w.

    The layers are those whose measures, `<term>..._stage<i>`, are not finite. One transfer from the device.
    """
    values = torch.stack([value.detach().float() for value in (*terms.losses.values(), *terms.measures.values())])
    finite = dict(zip((*terms.losses, *terms.measures), values.isfinite().tolist(), strict=True))
    bad = [name for name in terms.losses if not finite[name]]
    if not bad:
        return
    if bad == [TOTAL]:
        raise UserError(f"step {step}: each loss is finite, their sum is not; lower alpha, beta or train.lr")
    bad = [name for name in bad if name != TOTAL]
    families = {name.partition("_")[0] for name in bad}
    suspects = [name for name in terms.measures if not finite[name] and name.partition("_")[0] in families]
    layers = sorted({found[1] for name in suspects if (found := re.search(r"_(stage\d+)$", name))})
    w_max = float(terms.measures.get("frequency_w_max", math.nan))
    raise UserError(
        f"loss {', '.join(bad)} is not finite{' in ' if layers else ''}{', '.join(layers)} at step {step}"
        f"{'' if math.isnan(w_max) else f', max w {w_max:.4g}'}: the last good checkpoint is kept; lower train.lr or "
        "the weight of this loss, and add.frequency.gamma where max w is large"
    )
