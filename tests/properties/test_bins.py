"""The sliced distances, for any features: bins take every position once, masses are shares, distances are distances."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.losses.binning import bin_masses, equal_width_bins
from pipeline.losses.multiview import draw_directions
from pipeline.losses.partners import Pairings
from pipeline.losses.projection import rows
from pipeline.losses.slices import DISTANCES

SHAPES = st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(1, 6), st.integers(1, 6))  # (B, C, H, W)
SEEDS = st.integers(0, 999)


def features(shape: tuple[int, ...], seed: int, empty: bool = False) -> torch.Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()
    return made * 0 if empty else made


def directions(count: int, seed: int) -> torch.Tensor:
    return draw_directions(count, torch.Generator().manual_seed(seed)).double()


@settings(max_examples=12)
@given(SHAPES, SEEDS, st.integers(1, 4), st.integers(2, 8), st.booleans(), st.booleans(), st.booleans())
def test_every_position_is_in_one_bin_and_masses_are_shares(
    shape: tuple[int, ...], seed: int, count: int, groups: int, released: bool, last: bool, empty: bool
) -> None:
    positions = shape[1] * shape[2] * shape[3]
    made = features(shape, seed, empty)
    made = made.contiguous(memory_format=torch.channels_last) if last else made
    last = made.is_contiguous(memory_format=torch.channels_last) and not made.is_contiguous()
    bins = equal_width_bins(directions(count, seed), torch.Size(shape[1:]), groups, released, last)
    order = bins.order.view(count, positions).sort(1).values
    assert (order == torch.arange(positions)).all()
    edges = torch.cat([bins.starts, torch.tensor([count * positions])])
    assert (edges.diff() >= 0).all() and edges[0] == 0
    masses, _ = bin_masses([rows(made, last)], bins, count)
    assert masses.shape == (count, groups, shape[0]) and (masses >= 0).all()
    there = (made.flatten(1) > 0).any(1).double()  # a feature without mass counts as none
    torch.testing.assert_close(masses.sum(1), there.expand(count, -1))


@settings(max_examples=12)
@given(SHAPES, SEEDS, st.integers(2, 8), st.floats(0.01, 100), st.sampled_from(list(DISTANCES)))
def test_distances_are_symmetric_none_to_itself_and_know_no_scale(
    shape: tuple[int, ...], seed: int, groups: int, scale: float, kind: str
) -> None:
    one, other, theta = features(shape, seed), features(shape, seed + 1), directions(3, seed)
    own = Pairings(torch.arange(shape[0])[None])
    found = DISTANCES[kind](one, other, theta, own, groups)
    assert found.shape == (1, 3, shape[0]) and (found >= 0).all()
    torch.testing.assert_close(found, DISTANCES[kind](other, one, theta, own, groups))
    torch.testing.assert_close(found, DISTANCES[kind](one * scale, other, theta, own, groups), rtol=1e-6, atol=1e-9)
    assert DISTANCES[kind](one, one, theta, own, groups).abs().max() < 1e-12
