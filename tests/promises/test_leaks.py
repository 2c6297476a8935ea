"""Nothing of a tested person reaches what is trained on, chosen by, or judged by. (What fit and evaluate hand to each
other, and which buckets a fold takes, is in tests/training and tests/crops.)"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crops.shards import ShardWriter, read_index
from pipeline.evaluation import calibration, thresholds
from pipeline.forging.donors import Clip, choose, generator
from pipeline.sources.buckets import assign
from pipeline.work.errors import UserError


def shard(folder: Path, buckets: dict[str, str]) -> Path:
    """One frame of each person, in the bucket."""
    with ShardWriter(folder, 10) as writer:
        for person, bucket in sorted(buckets.items(), key=lambda item: item[1]):
            row = {"set": folder.name, "video": f"{person}_00", "person": person, "label": 0, "frame": 0}
            writer.write(bucket, f"{person}_00-000000", {"json": b"{}"}, row)
    return folder


def test_a_person_in_two_buckets_is_refused_whichever_set_says_so(tmp_path: Path) -> None:
    real = shard(tmp_path / "original", {"ann": "b0", "ben": "b1"})
    fake = shard(tmp_path / "faceswap", {"ann": "b1"})
    assert len(read_index([real])) == 2
    for buckets in (None, ["b0"], ["b1"]):
        with pytest.raises(UserError, match="ann is in more than one bucket"):
            read_index([real, fake], buckets)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=12), st.integers(2, 4), st.integers(0, 5))
def test_a_person_has_one_bucket_however_many_clips(clips: list[int], count: int, seed: int) -> None:
    people = {f"p{number}": clip for number, clip in enumerate(clips)}
    if len(people) < count:
        return
    found = assign(people, count, seed, people)
    assert found.keys() == people.keys() and set(found.values()) == {f"b{number}" for number in range(count)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(-1, 1)), min_size=2, max_size=14),
    st.booleans(), st.integers(1, 3), st.integers(0, 9),
)  # fmt: skip
def test_no_donor_comes_from_another_bucket(
    people: list[tuple[int, float]], other: bool, count: int, seed: int
) -> None:
    """Nor is the target its own donor, nor of the same person where another one is wanted."""
    clips = [Clip(f"v{n}", f"p{person}", f"b{person % 3}", yaw) for n, (person, yaw) in enumerate(people)]
    for target in clips:
        for donor in choose(target, clips, count, other, generator(seed)):
            lender = next(clip for clip in clips if clip.video == donor.video)
            assert lender.bucket == target.bucket and lender.video != target.video
            assert not other or lender.person != target.person


def scores(seed: int, fold: int, role: str = "test") -> pd.DataFrame:
    """Twelve videos of two people whom nobody else has."""
    random = np.random.default_rng(seed)
    labels = np.arange(12) % 2
    return pd.DataFrame({
        "set": np.where(labels, "faceswap", "original"), "video": [f"{role}{fold}-{n}" for n in range(12)],
        "person": [f"{role}{fold}-{n % 4 // 2}" for n in range(12)], "frame": 0, "fold": fold, "label": labels,
        "score": np.clip(random.normal(0.3 + 0.4 * labels, 0.2), 0.01, 0.99), "role": role,
    })  # fmt: skip


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("tested", [0, 1, 2])
def test_no_threshold_is_chosen_by_whom_it_judges(tested: int, validated: bool) -> None:
    """Whatever the tested people score, what judges them stays; the others' changes, or this test could not fail."""
    every = pd.concat([scores(fold, fold) for fold in range(3)], ignore_index=True)
    own = pd.concat([scores(9 + fold, fold, "val") for fold in range(3)], ignore_index=True)
    validation = own if validated else own.iloc[:0]
    mine = every["fold"] == tested
    moved = every.assign(score=every["score"].where(~mine, every["score"] ** 3))
    before, after = (thresholds.chosen(table, validation) for table in (every, moved))
    assert before[tested] == after[tested]
    assert validated or before != after
    both = [pd.concat([table, validation], ignore_index=True) for table in (every, moved)]
    first, second = (
        calibration.judged(table, 0.2, 0.2).sort_values(["fold", "video"], ignore_index=True) for table in both
    )
    assert len(first) == len(second) == 36
    others = first["fold"] != tested
    assert (first["probability"][others].tolist() == second["probability"][others].tolist()) == validated
    # The same mapping: of the scores that it is given now.
    known = own[own["fold"] == tested] if validated else every[~mine]
    fitted = calibration.fit(known, 0.2, 0.2)
    here = second[~others]
    assert here["probability"].tolist() == pytest.approx(fitted.probability(here["score"].to_numpy()).tolist())
