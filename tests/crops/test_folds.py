"""People never cross from one role to another, and a fold is what the params say, whatever the data lack."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.crops.folds import fold, gap, unforgeable
from pipeline.params.presets import read
from pipeline.params.schema import Params, load
from pipeline.sources.buckets import assign
from pipeline.work.errors import UserError

ROOT = Path(__file__).parents[2]
PEOPLE = [f"person{i}" for i in range(10)]
Make = Callable[..., Params]


def divided(buckets: int, validation: int = 0, folds: tuple[int, ...] = (0,)) -> Params:
    params = load(ROOT / "params.yaml")
    split = params.split.model_copy(update={"buckets": buckets, "validation": validation})
    return params.model_copy(update={"split": split, "folds": folds})


def test_each_person_is_tested_once_and_has_one_role_a_fold() -> None:
    assigned = assign(PEOPLE, 4, seed=0)
    tested = Counter()
    for number in range(4):
        roles = fold(divided(4, validation=1), number)
        people = [{p for p, bucket in assigned.items() if bucket in role} for role in roles]
        assert set.union(*people) == set(PEOPLE)
        assert sum(map(len, people)) == len(PEOPLE)
        tested.update(people[2])
    assert tested == Counter(PEOPLE)


def test_validation_comes_after_the_tested_bucket_cyclically() -> None:
    roles = fold(divided(11, validation=2), 10)
    assert (roles.test, roles.val) == (("b10",), ("b0", "b1"))
    assert roles.train == tuple(f"b{i}" for i in range(2, 10))


def test_an_official_split_is_itself() -> None:
    params = read("faceforensics", ROOT)
    assert fold(params, 0) == (("train",), ("val",), ("test",))
    with pytest.raises(UserError, match="fold 0 alone"):
        fold(params, 1)
    with pytest.raises(UserError, match="2 is not one of the 2 folds"):
        fold(divided(2), 2)


def test_what_a_fold_lacks_is_named_with_what_to_do() -> None:
    people = {"b0": {"ann"}, "b1": {"ben", "bob"}, "b2": {"cleo"}}
    params = divided(3, folds=(0, 1, 2))
    assert gap(params, people, people, "no crops") is None
    said = gap(params, {"b0", "b2"}, people, "no crops")
    assert said is not None and said.startswith(
        "no crops in bucket b1 (ben, bob), which fold 1 tests: add people, set fold"
    )
    assert "set folds to [0, 2]" in said
    # b1 and b2 train together: one of them is enough, unless each is needed
    assert gap(divided(3), {"b0", "b2"}, people, "no crops") is None
    assert "b1 (ben, bob), which fold 0 trains on" in str(gap(divided(3), {"b0", "b2"}, people, "x", each=True))
    said = gap(divided(3), {"b0"}, people, "no crops")
    assert said is not None and "bucket b1 (ben, bob), b2 (cleo), which fold 0 trains on: add people, divide" in said
    assert "b1 (ben, bob), which fold 0 validates on" in str(gap(divided(3, 1), {"b0", "b2"}, people, "no crops"))


def test_a_split_that_only_tests_lacks_nothing() -> None:
    assert gap(read("celebdf", ROOT), {"test"}, {"test": {"id0"}}, "no crops") is None
    official = read("faceforensics", ROOT)
    assert "bucket val (nobody), which fold 0 validates on" in str(gap(official, {"train", "test"}, {}, "no crops"))


def test_too_few_people_for_a_face_swap_are_told_with_what_would_do() -> None:
    """Each bucket needs two, and one more bucket is needed where some people validate."""
    alone = [(f"b{number}", f"person{number}") for number in range(4)]
    more = [*alone, ("b0", "person4"), ("b1", "person5")]
    said = {
        (count, held): unforgeable(divided(4, held), clips)
        for count, clips in ((4, alone), (6, more))
        for held in (0, 1)
    }
    assert "4 people fill 2, split.buckets=2 and folds=[0, 1]" in str(said[4, 0])
    assert "; 6 people are the least" in str(said[4, 1])
    assert "6 people fill 3, split.buckets=3 and folds=[0, 1, 2]" in str(said[6, 1])
    assert unforgeable(divided(2), [("b0", "x"), ("b0", "y"), ("b1", "z"), ("b1", "w")]) is None
