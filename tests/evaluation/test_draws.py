"""How often videos are drawn: with whom, among whom, and under which name."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.draws import UNITS, Draws, draw
from tests.aids import report_fixture as made_up


def test_draws_stay_within_their_stratum() -> None:
    """Of reals and of fakes as many videos as there are; a person's in all strata at once where there are none."""
    sets, videos = pd.Series(["a"] * 3 + ["b"] * 5), pd.Series(list("xyzuvwxy"))
    draws = draw(sets, sets + videos, 300, seed=0)
    assert (draws[:, :3].sum(1) == 3).all() and (draws[:, 3:].sum(1) == 5).all() and (draws[0] == 1).all()
    assert len(np.unique(draws[1:], axis=0)) > 100
    assert draws[1:].mean(0) == pytest.approx(np.ones(8), abs=0.15)
    assert (draws != draw(sets, sets + videos, 300, seed=1)).any()


def test_people_are_drawn_with_all_their_videos() -> None:
    people = pd.Series(["a", "b", "a", "c"])
    draws = draw(None, people, 50, seed=0)
    assert (draws[:, 0] == draws[:, 2]).all() and (draws[1:, [0, 1, 3]].sum(1) == 3).all()


@pytest.mark.parametrize("unit", UNITS)
def test_each_row_of_a_table_gets_the_draws_of_its_own_video(unit: str) -> None:
    """Whatever the order of the rows, those of a video alike; a video that was not drawn from is refused."""
    frames = made_up.frames("faceswap").sample(frac=1, random_state=0, ignore_index=True)
    draws = Draws.of(frames, unit, 40, seed=3)
    assert list(draws.videos) == sorted(set(zip(frames["set"], frames["video"], strict=True)))
    assert draws.counts.shape == (41, 36) and (draws.counts[0] == 1).all()
    found = draws.at(frames)
    for place, key in enumerate(zip(frames["set"], frames["video"], strict=True)):
        assert (found[:, place] == draws.counts[:, draws.videos.get_loc(key)]).all()
    fakes = np.array([name == "faceswap" for name, _ in draws.videos])
    if unit == "video":  # as many reals and as many fakes as there are
        assert (draws.counts[:, fakes].sum(1) == 18).all() and (draws.counts[:, ~fakes].sum(1) == 18).all()
    people = found[:, frames.groupby("person").head(1).index]
    together = all((found[:, rows] == found[:, rows[:1]]).all() for rows in frames.groupby("person").indices.values())
    assert together == (unit == "person") and (unit == "video" or (people.sum(1) == len(made_up.PEOPLE)).all())
    with pytest.raises(KeyError):
        draws.at(frames.assign(video="another"))


def test_by_class_each_class_is_in_every_resample() -> None:
    """Fakes of several sets are drawn together; people with both classes apart from those with one."""
    rows = [("original", "a", "p", 0), ("original", "b", "q", 0), ("original", "c", "r", 0), ("one", "a", "p", 1)]
    rows += [("two", "a", "p", 1), ("one", "b", "q", 1), ("one", "d", "s", 1), ("two", "e", "t", 1)]
    frames = pd.DataFrame(rows, columns=["set", "video", "person", "label"])
    fake = frames["label"].to_numpy() == 1
    found = Draws.of(frames, "video", 100, seed=0, by_class=True).at(frames)
    assert (found[:, fake].sum(1) == 5).all() and (found[:, ~fake].sum(1) == 3).all()
    assert len(set(found[:, frames["set"] == "two"].sum(1))) > 1
    found = Draws.of(frames, "person", 100, seed=0, by_class=True).at(frames)
    of = {person: found[:, rows[0]] for person, rows in frames.groupby("person").indices.items()}
    assert all((found[:, place] == of[person]).all() for place, person in enumerate(frames["person"]))
    assert (of["p"] + of["q"] == 2).all() and (of["r"] == 1).all() and (of["s"] + of["t"] == 2).all()
    assert set(of["p"]) == {0, 1, 2}
