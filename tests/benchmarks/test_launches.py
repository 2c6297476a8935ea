"""How many operations the losses ask of a GPU, counted without one: no more than now."""

import pytest
import torch

from benchmarks.launches import DEVICE, LOSSES, Launches, count
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES

# Forward and backward, three layers in float32, and one or two more for another torch. A term taken layer by layer, a
# constant made anew each step or a pairing on its own would each add three at least.
MOST = {"L_FR": (36, 21), "L_MV histogram": (104, 54), "L_MV wasserstein": (157, 151), "L_MV released": (137, 64)}


def test_work_and_copies_are_counted_and_views_are_not() -> None:
    there, here = torch.empty(4, 6, device=DEVICE), torch.ones(4, 6)
    with Launches() as seen:
        here.square().sum()
        view = there.t().unflatten(0, (2, 3))[1:].detach()
        torch.empty_like(view)
        here.to(DEVICE)
        (view * 2).sum()
    assert [name for name, _ in seen.found] == ["_to_copy", "mul", "sum"] and seen.total == 3


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_ask_a_gpu_no_more_often_than_they_did(name: str) -> None:
    forward, backward = count(LOSSES[name]())
    assert 0 < forward.total <= MOST[name][0], forward.found
    assert 0 < backward.total <= MOST[name][1], backward.found


@pytest.mark.parametrize("kind", DISTANCES)
def test_directions_are_taken_together(kind: str) -> None:
    few, many = (sum(part.total for part in count(MultiViewAttention(kind, k), batch=4)) for k in (2, 12))
    assert few == many


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_costs_the_casts_alone(name: str) -> None:
    """Of three stages those of student and teacher, and of the student's gradient; L_FR reads the teacher as it is."""
    whole, half = (
        sum(part.total for part in count(LOSSES[name](), dtype)) for dtype in (torch.float32, torch.bfloat16)
    )
    assert half - whole == (6 if name == "L_FR" else 9)
