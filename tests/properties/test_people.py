"""Who is in which bucket and fold, what videos are called, which frames are drawn: for any people and names."""

import os
import random
import re
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crops.folds import fold, gap
from pipeline.params import schema
from pipeline.sources import names
from pipeline.sources.buckets import assign
from pipeline.videos.sampling import choose, sample, spread, thin
from pipeline.work.errors import UserError
from tests.aids.report_fixture import ROOT

PARAMS = schema.load(ROOT / "params.yaml")
PEOPLE = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 50), min_size=1, max_size=30)
FILES = st.lists(st.binary(min_size=1, max_size=60).filter(lambda name: b"\0" not in name), min_size=1, max_size=12,
                 unique=True)  # fmt: skip
ODD = st.sampled_from(
    ["a", "A", "a.mp4", "a.MP4", "á", "á", "a b", "a-b", "a_b", "a/b", "b/a", "ａ", "", ".", "-", "x" * 99]
)


@given(PEOPLE, st.integers(2, 8), st.integers(0, 99))
def test_people_are_never_divided_and_buckets_are_even(people: dict[str, int], buckets: int, seed: int) -> None:
    if len(people) < buckets:
        with pytest.raises(UserError, match="buckets need as many people"):
            assign(people, buckets, seed, people)
        return
    found = assign(people, buckets, seed, people)
    assert set(found) == set(people)  # each in one bucket
    sizes = Counter(found.values())
    assert set(sizes) == {f"b{number}" for number in range(buckets)} and max(sizes.values()) - min(sizes.values()) <= 1
    shuffled = random.Random(seed).sample(list(people), len(people))
    assert assign(shuffled, buckets, seed, people) == found
    clips = Counter({bucket: sum(people[one] for one in found if found[one] == bucket) for bucket in sizes})
    assert max(clips.values()) - min(clips.values()) <= max(people.values())  # the most that one person can tip


@given(st.integers(0, 5), st.integers(1, 9))
def test_every_bucket_has_one_role_a_fold_and_is_tested_once(validation: int, more: int) -> None:
    count = 1 + validation + more
    split = PARAMS.split.model_copy(update={"buckets": count, "validation": validation})
    params = PARAMS.model_copy(update={"split": split, "folds": tuple(range(count))})
    every = {f"b{number}" for number in range(count)}
    tested = []
    for number in range(count):
        roles = fold(params, number)
        assert sorted([*roles.train, *roles.val, *roles.test]) == sorted(every)
        assert (len(roles.train), len(roles.val), len(roles.test)) == (more, validation, 1)
        tested += roles.test
    assert sorted(tested) == sorted(every)
    assert gap(params, every, {}, "nothing") is None
    assert "b0 (nobody)" in str(gap(params, every - {"b0"}, {}, "no crops", each=True))


@given(st.lists(st.one_of(FILES.map(lambda found: os.fsdecode(found[0])), ODD), min_size=1, max_size=12, unique=True))
def test_names_are_safe_short_and_no_two_alike(files: list[str]) -> None:
    for give in (names.of_people, names.of_files):
        found = give(files)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) and len(name) <= names.LONGEST for name in found)
        if give is names.of_people or len({name.rsplit(".", 1)[0] for name in files}) == len(files):
            assert len({name.lower() for name in found}) == len(files)
        order = random.Random(0).sample(range(len(files)), len(files))
        assert give([files[n] for n in order]) == [found[n] for n in order]  # a name goes by the text, not its place


@given(FILES)
def test_any_name_can_be_shown_in_one_line(raw: list[bytes]) -> None:
    for name in map(os.fsdecode, raw):
        shown = names.readable(name)
        shown.encode()
        assert len(shown.splitlines()) == 1 and not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)


@given(st.text(max_size=9), st.integers(1, 400), st.integers(1, 400), st.integers(0, 9))
def test_frames_are_drawn_once_each_and_from_those_there_are(target: str, frames: int, count: int, seed: int) -> None:
    for drawn in (choose(target, frames, count, seed), spread(frames, count)):
        assert drawn == sorted(set(drawn)) and len(drawn) == min(frames, count)
        assert drawn[0] >= 0 and drawn[-1] < frames
    assert choose(target, frames, count, seed) == choose(target, frames, count, seed)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(0, 9), st.data())
def test_a_fake_is_sampled_where_its_target_is(
    target: int, fake: int, count: int, seed: int, data: st.DataObject
) -> None:
    """Whatever is rejected of either, and whichever is longer."""
    out = data.draw(st.lists(st.integers(0, 59), max_size=9, unique=True))
    common = {"person": "p", "bucket": "b0", "parameters": f'{{"shared_frames": {min(target, fake)}}}'}
    tables = []
    for video, length, of in (("t", target, ""), ("t__d", fake, "t")):
        row = {"video": video, "label": int(bool(of)), "target": of, "frames": length, **common}
        rejected = pd.DataFrame({"video": [video] * len(out), "frame": [str(frame) for frame in out]})
        tables.append(sample("s", pd.DataFrame([row]), rejected, count, seed))
    assert list(tables[0]["frame"]) == list(tables[1]["frame"])
    assert not set(tables[0]["frame"]) & set(out)
    thinned = thin(tables[0], 3)
    assert len(thinned) == min(3, len(tables[0])) and set(thinned["frame"]) <= set(tables[0]["frame"])
