"""How degradations are written, and what the schema refuses before anything runs."""

from pathlib import Path

import pytest

from pipeline.params.degradations import Step, chain, step
from pipeline.params.schema import load
from pipeline.work.errors import UserError
from tests.aids.report_fixture import ROOT, write_params


def test_a_step_is_read_as_it_is_written() -> None:
    for text in ("h264-28", "h265-0", "vp9-63", "av1-30", "jpeg-90", "blur-1.4", "noise-8", "scale-0.5", "small-0.25"):
        assert str(step(text)) == text
    assert chain("two", {"two": ["h264-23", "scale-0.5"]}) == (Step("h264", 23), Step("scale", 0.5))
    assert chain("h264-40", {}) == (Step("h264", 40),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h264", "h264: nothing is not a level; write h264-<0..51>"),
        ("h264-52", r"h264-52: the level must be a whole number in 0\.\.51"),
        ("h264-28.5", "a whole number"),
        ("h264-028", "write h264-28"),
        ("scale-0", r"a number above 0 in 0\.\.1"),
        ("blur-nan", "the level must be"),
        ("mpeg2-3", "mpeg2-3: not one of h264-<level>.* nor a chain's name"),
    ],
)
def test_a_step_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stress.degradations": ["h264-45", "h264-45"]}, "h264-45 is named twice"),
        ({"stress.degradations": ["twise"]}, "twise: not one of"),
        ({"stress.chains": {"x": ["small-0.5"]}}, "x: small needs a codec after it"),
        ({"stress.methods": []}, "either both are named or both are"),
        ({"stress.degradations": []}, "either both are named or both are"),
        ({"grid.distilled": []}, r"stress.methods holds warm_start, which this run \(grid, ablation\) does not have"),
        ({"stress.methods": ["teacher"], "grid.distilled": []}, "cross.methods holds warm_start"),
        ({"report.margin": 0}, "report.margin"),
    ],
)
def test_what_a_run_cannot_do_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_params(tmp_path, **changes)


def test_the_sample_has_an_ablation_stressed_where_it_is_trained(tmp_path: Path) -> None:
    ablation = {"methods": ["add_fr"], "manipulations": ["faceswap"], "compressions": ["c40"], "backbones": []}
    params = load(write_params(tmp_path, ablation=ablation, **{"stress.methods": ["add", "add_fr"]}))
    assert params.stress.methods == ("add", "add_fr")
    assert load(ROOT / "params.yaml").stress.degradations
