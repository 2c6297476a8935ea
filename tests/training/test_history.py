"""The rows of a training's history: what is said of the steps between two of them."""

import torch

from pipeline.training.history import Means
from pipeline.training.terms import Terms


def test_a_row_holds_means_but_of_maxima_the_largest() -> None:
    means = Means()
    steps = [
        ({"frequency": 1.0}, {"frequency_w_max": 2.0, "frequency_w_max_stage3": 9.0, "frequency_stage3": 4.0}),
        ({"frequency": 3.0}, {"frequency_w_max": 6.0, "frequency_w_max_stage3": 1.0}),
    ]
    for losses, measures in steps:
        means.add(Terms(*({name: torch.tensor(value) for name, value in part.items()} for part in (losses, measures))))
    largest = {"frequency_w_max": 6.0, "frequency_w_max_stage3": 9.0}
    assert means.take() == {"train_frequency": 2.0, "frequency_stage3": 4.0} | largest
