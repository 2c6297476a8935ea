"""What the schema of params.yaml refuses beyond types and bounds, and what it derives."""

from pathlib import Path

import pytest

from pipeline.params.schema import load
from pipeline.work.errors import UserError
from tests.aids.report_fixture import write_params


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.pretrained": False}, "train.freeze_stages would keep random weights"),
        ({"baselines.mobilenet_v2.pretrained": False}, "set baselines.mobilenet_v2.train.freeze_stages to 0"),
        ({"grid.baselines": ["vgg"]}, "grid.baselines holds vgg"),
        ({"crop.size": 100}, "crop.size must be at least model.image_size"),
        ({"distill.fitnet.layer_weights": [0, 1, 1, 1]}, "distill.fitnet.layer_weights: no such param"),
        ({"baselines.xception.train": {"epoch": 3}}, "epoch"),
        ({"crf": {"c23": 23, "c40": 40, "c40_twice": 40}}, "at most 8"),
        ({"manipulations": ["f" * 41]}, "at most 40"),
        ({"folder.clips_per_video": 1001}, "less than or equal to 1000"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_params(tmp_path, **changes)


def test_a_baseline_may_start_from_scratch_where_the_others_do_not(tmp_path: Path) -> None:
    own = {"pretrained": False, "train": {"freeze_stages": 0}}
    changes = {"grid.baselines": ["mobilenet_v2", "xception"], "baselines.xception": own}
    params = load(write_params(tmp_path, **changes))
    assert params.starts("mobilenet_v2").pretrained and not params.starts("xception").pretrained
    assert params.recipe(params.baselines["xception"]).freeze_stages == 0
    assert params.recipe(params.teacher).freeze_stages == 1
