"""The explosion guard names what blew up."""

import pytest
import torch

from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.training.guard import check_finite
from pipeline.training.terms import Terms
from pipeline.work.errors import UserError
from tests.losses.test_frequency import features, labels


def test_finite_terms_pass() -> None:
    check_finite(Terms({"frequency": torch.tensor(1e7)}, {"frequency_w_max": torch.tensor(2.0)}), 3)


def test_an_exploded_frequency_loss_is_named_with_its_layer_and_weight() -> None:
    calm, wild = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 1e3)
    terms = FrequencyAttention(1.0, (0, 1, 1))(features(calm, calm, wild), features(calm, calm, calm), labels(2))
    with pytest.raises(UserError, match=r"^loss frequency is not finite in stage3 at step 41, max w inf: .*gamma"):
        check_finite(terms, 41)


def test_a_poisoned_feature_is_found_in_the_multi_view_loss() -> None:
    calm, poisoned = torch.ones(2, 4, 2, 2), torch.full((2, 4, 2, 2), float("nan"))
    terms = MultiViewAttention(layer_weights=(1, 1))(features(calm, poisoned), features(calm, calm), labels(2))
    with pytest.raises(UserError, match=r"^loss multiview_match, .* is not finite in stage2 at step 7: "):
        check_finite(terms, 7)


def test_a_loss_without_layers_is_named() -> None:
    with pytest.raises(UserError, match=r"^loss cross_entropy is not finite at step 0: "):
        check_finite(Terms({"cross_entropy": torch.tensor(float("inf"))}), 0)
