from functools import partial

import pytest

from pipeline.errors import UserError, VideoError
from pipeline.parallel import Rejected, map_videos


def half(number: int, stumble: int = -1) -> float:
    if number == 3:
        raise VideoError("three is odd")
    if number == stumble:
        raise Stumble(number, "and", "fell")
    if number == 100:
        raise UserError("params.yaml: too large")
    return number / 2


class Stumble(Exception):
    """Does not unpickle: its constructor wants more than its message."""

    def __init__(self, number: int, then: str, what: str) -> None:
        super().__init__(f"{number} {then} {what}")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_bad_videos_as_rejected(workers: int) -> None:
    results = list(map_videos(half, range(20), workers=workers, what="halve"))
    assert results == [Rejected(3, "three is odd") if n == 3 else n / 2 for n in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_other_errors_stop_the_run_and_name_the_video(workers: int) -> None:
    with pytest.raises(RuntimeError, match="halve failed at video 7: Stumble: 7 and fell"):
        list(map_videos(partial(half, stumble=7), range(20), workers=workers, what="halve", name="video {}".format))
    with pytest.raises(UserError, match=r"params\.yaml: too large"):
        list(map_videos(half, [1, 100, 2], workers=workers, what="halve"))


def test_nothing_to_do() -> None:
    assert list(map_videos(half, [], what="halve")) == []
