import pytest
from pydantic import ValidationError

from models.config import EvaluationConfig, LossConfig, TrainingConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"next_item": 0, "value": 0}, "next_item and value must not both be 0"),
        ({"like_from": 4, "value": 0}, "like_from needs a rating head that learns"),
        ({"softmax": "sampled", "negatives": 0}, "negatives must go with a softmax that draws them"),
        ({"softmax": "full", "negatives": 5}, "negatives must go with a softmax that draws them"),
        ({"negatives": 5}, "negatives must go with a softmax that draws them"),
        ({"popularity_power": 0.5, "per_position": True}, "per_position, popularity_power must go with a softmax that draws"),
    ],
)
def test_losses_that_would_do_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        LossConfig.model_validate(settings)


@pytest.mark.parametrize(("softmax", "negatives"), [(None, 0), ("full", 0), ("sampled", 1024), ("gbce", 1024)])
def test_where_negatives_are_drawn_they_are_a_thousand_unless_it_is_said(softmax, negatives):
    assert LossConfig(softmax=softmax).negatives == negatives
    if negatives:
        assert LossConfig(softmax=softmax, negatives=7).negatives == 7


def test_the_best_weights_are_not_chosen_by_a_head_that_learns_nothing():
    with pytest.raises(ValidationError, match=r"keep_by: value needs a rating head that learns, loss.value above 0"):
        TrainingConfig.model_validate({"keep_by": "value", "loss": {"value": 0}})


@pytest.mark.parametrize("cutoffs", [[], [10, 20, 10]])
def test_cutoffs_are_one_or_more_and_all_different(cutoffs):
    with pytest.raises(ValidationError, match="cutoffs must be one or more, all different"):
        EvaluationConfig.model_validate({"cutoffs": cutoffs})
