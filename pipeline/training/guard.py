"""The explosion guard: distillation losses are known to blow up when switched on; training stops where one does."""

import math
import re

import torch

from pipeline.training.terms import Terms
from pipeline.work.errors import UserError


def check_finite(terms: Terms, step: int) -> None:
    """Raise UserError where a loss term is inf or NaN, naming the term, its layers if known, the step and max w.

    One transfer from the device a call. The layers are those whose measures, `<term>..._stage<i>`, are not finite.
    """
    values = torch.stack([value.detach().float() for value in (*terms.losses.values(), *terms.measures.values())])
    finite = dict(zip((*terms.losses, *terms.measures), values.isfinite().tolist(), strict=True))
    bad = [name for name in terms.losses if not finite[name]]
    if not bad:
        return
    families = {name.partition("_")[0] for name in bad}
    suspects = [name for name in terms.measures if not finite[name] and name.partition("_")[0] in families]
    layers = sorted({found[1] for name in suspects if (found := re.search(r"_(stage\d+)$", name))})
    w_max = float(terms.measures.get("frequency_w_max", math.nan))
    raise UserError(
        f"loss {', '.join(bad)} is not finite{' in ' if layers else ''}{', '.join(layers)} at step {step}"
        f"{'' if math.isnan(w_max) else f', max w {w_max:.4g}'}: the last good checkpoint is kept; lower train.lr or "
        "the weight of this loss, and add.frequency.gamma where max w is large"
    )
