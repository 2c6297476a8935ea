"""People never cross from one role to another, and buckets are balanced."""

import itertools
from collections import Counter

import pytest

from pipeline.errors import UserError
from pipeline.splits import assign, fold

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


def test_each_person_is_tested_once_and_has_one_role_a_fold() -> None:
    assigned = assign(PEOPLE, 4, seed=0)
    tested = Counter()
    for number in range(4):
        roles = fold(assigned.values(), number, validation=1)
        people = [{p for p, bucket in assigned.items() if bucket in role} for role in roles]
        assert set.union(*people) == set(PEOPLE)
        assert sum(map(len, people)) == len(PEOPLE)
        tested.update(people[2])
    assert tested == Counter(PEOPLE)


def test_validation_comes_after_the_tested_bucket_cyclically() -> None:
    buckets = [f"b{i}" for i in range(11)]
    roles = fold(buckets, 10, validation=2)
    assert (roles.test, roles.val) == (("b10",), ("b0", "b1"))
    assert roles.train == tuple(f"b{i}" for i in range(2, 10))


def test_an_official_split_is_itself() -> None:
    roles = fold(["test", "train", "val", "train"], 0, validation=5)
    assert roles == (("train",), ("val",), ("test",))
    with pytest.raises(UserError, match="fold 0 alone"):
        fold(["train", "val", "test"], 1, validation=0)


@pytest.mark.parametrize(
    ("buckets", "number", "validation", "message"),
    [
        (["b0", "b1"], 0, 1, "leaves none to train"),
        (["b0", "b1"], 2, 0, "not one of the 2 folds"),
        (["test"], 0, 0, "leaves none to train"),
        (["b0", "train"], 0, 0, "neither"),
    ],
)
def test_impossible_folds_are_refused(buckets: list[str], number: int, validation: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fold(buckets, number, validation)


def test_fewer_people_than_buckets_are_refused() -> None:
    with pytest.raises(UserError, match="3 buckets need as many people"):
        assign(["a", "b"], 3, seed=0)
