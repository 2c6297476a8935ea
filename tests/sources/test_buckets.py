"""Buckets are balanced, in people and in clips."""

import itertools
from collections import Counter

import pytest

from pipeline.sources.buckets import assign
from pipeline.work.errors import UserError

PEOPLE = [f"person{i}" for i in range(10)]


@pytest.mark.parametrize(("number", "buckets"), itertools.product([3, 10, 11, 23], [2, 3]))
def test_buckets_are_balanced_whatever_the_order_of_people(number: int, buckets: int) -> None:
    people = [f"p{i}" for i in range(number)]
    assigned = assign(people, buckets, seed=1)
    sizes = Counter(assigned.values())
    assert set(assigned) == set(people)
    assert set(sizes) == {f"b{i}" for i in range(buckets)}
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert assign(reversed(people), buckets, seed=1) == assigned


def test_the_seed_changes_the_buckets() -> None:
    groupings = {tuple(assign(PEOPLE, 3, seed).values()) for seed in range(10)}
    assert len(groupings) > 5


def test_clips_are_balanced_too() -> None:
    clips = {person: 1 + i for i, person in enumerate(PEOPLE)}  # 1..10: 55 clips
    for seed in range(5):
        assigned = assign(PEOPLE, 2, seed, clips)
        totals = Counter()
        for person, bucket in assigned.items():
            totals[bucket] += clips[person]
        assert abs(totals["b0"] - totals["b1"]) <= 3


def test_fewer_people_than_buckets_are_refused() -> None:
    with pytest.raises(UserError, match="3 buckets need as many people"):
        assign(["a", "b"], 3, seed=0)
