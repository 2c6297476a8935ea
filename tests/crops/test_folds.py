"""People never cross from one role to another."""

from collections import Counter

import pytest

from pipeline.loading.folds import fold
from pipeline.sources.buckets import assign
from pipeline.work.errors import UserError

PEOPLE = [f"person{i}" for i in range(10)]


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
