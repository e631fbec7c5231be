import dataclasses
import math
import re

import numpy as np
import pytest

from equipoise.fairness import evaluate, negatives_needed
from equipoise.probabilities import from_logits
from equipoise.rate import Rate
from equipoise.report import html, text
from equipoise.report.debias.models import main_models, ordered_models
from equipoise.report.debias.record import RunRecord
from equipoise.report.debias.words import explain, few_negatives, headline


def with_change(record: RunRecord, difference: Rate) -> RunRecord:
    """The record, with another paired difference of the TPR of the worst race."""
    found = record.comparisons.differences
    worst = found["debiased"].worst_group
    worst = {**worst, "race": {**worst["race"], "at_fpr": difference}}
    changed = {**found, "debiased": dataclasses.replace(found["debiased"], worst_group=worst)}
    return dataclasses.replace(
        record, comparisons=dataclasses.replace(record.comparisons, differences=changed)
    )


@pytest.mark.parametrize(
    ("difference", "tone", "phrase"),
    [
        (Rate(0.03, 0.01, 0.05, 267), "fewer", "−3.0 percentage points, 95\u202f% interval −5.0 to −1.0"),
        (Rate(-0.03, -0.05, -0.01, 267), "more", "+3.0 percentage points, 95\u202f% interval +1.0 to +5.0"),
        (Rate(0.03, -0.01, 0.07, 267), "none", "The interval covers 0"),
        (Rate(0.03, 0.0, 0.07, 267), "none", "The interval covers 0"),
        (Rate(0.03, math.nan, math.nan, 267), "unknown", "no interval, so nothing can be said"),
        (Rate.undefined("no positives"), "unknown", "no positives"),
    ],
)
def test_the_headline_claims_what_the_interval_allows(record, difference, tone, phrase):
    told = headline(with_change(record, difference))
    assert told.tone == tone
    assert phrase in " ".join(told.sentences)
    assert ("no measurable difference" in told.title.lower()) == (tone == "none")


def test_the_headline_names_both_worst_groups_with_intervals_and_counts(record):
    first, second = headline(record).sentences[:2]
    worst = record.models["plain"].numbers.worst_group["race"]["at_fpr"]
    assert f"{100 * (1 - worst['tpr'].value):.1f}\u202f% (" in first
    positives = record.models["plain"].numbers.groups["race"]["Black"].positives
    assert f"Black, {positives} positives" in first
    assert "false-positive rate of 1\u202f%" in first
    assert second.startswith("“DB-VAE")


def test_a_gain_that_a_control_shares_is_not_put_down_to_resampling(record):
    def told(gain):
        return " ".join(headline(with_change(record, gain)).sentences)

    assert "does not show that resampling is what helps" in told(Rate(0.03, 0.01, 0.05, 267))
    assert "resampling" not in told(Rate(0.03, -0.01, 0.05, 267)), (
        "without a gain there is nothing to explain"
    )
    alone = dataclasses.replace(record, models={n: record.models[n] for n in ("plain", "debiased")})
    assert "resampling" not in " ".join(headline(alone).sentences)
    # At the matched rate the moved threshold is plain itself, however near.
    moved = {**alone.models, "threshold-only": dataclasses.replace(record.models["debiased"], role="control")}
    assert "resampling" not in " ".join(headline(dataclasses.replace(record, models=moved)).sentences)


@pytest.mark.parametrize(
    "size",
    [
        {"models": 1},
        {"models": 2, "compared": False},
        {"models": 5, "attributes": {}},
        {"models": 1, "attributes": {}},
        {"models": 0, "attributes": {}},
    ],
)
def test_no_headline_says_fair_or_unbiased(make_record, size):
    told = headline(make_record(**size))
    everything = " ".join([told.title, *told.sentences, *(" ".join(other) for other in told.others)]).lower()
    assert told.title
    assert told.sentences
    assert not any(word in everything for word in ("fair", "unbiased", "bias-free", "nan"))


def test_models_are_shown_baseline_first(make_record):
    record = make_record()
    shuffled = dataclasses.replace(record, models=dict(reversed(record.models.items())))
    assert ordered_models(shuffled)[:2] == ["plain", "debiased"]
    assert main_models(shuffled) == ("plain", "debiased")


def test_the_baseline_may_be_any_model(make_record):
    record = make_record(models=3)
    turned = {"plain": record.comparisons.differences["debiased"]}
    turned = dataclasses.replace(record.comparisons, baseline="debiased", differences=turned)
    record = dataclasses.replace(record, comparisons=turned)
    assert main_models(record) == ("debiased", "plain")
    assert ordered_models(record)[0] == "debiased"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("negatives", "fpr", "said"),
    [
        (
            100,
            0.01,
            "100 negatives cannot tell a false-positive rate of 1 %: 309 are needed; shares found at it have no lower "
            "limit.",
        ),
        (
            308,
            0.01,
            "308 negatives cannot tell a false-positive rate of 1 %: 309 are needed; shares found at it have no lower "
            "limit.",
        ),
        (
            1,
            0.1,
            "1 negative cannot tell a false-positive rate of 10 %: 30 are needed; shares found at it have no lower "
            "limit.",
        ),
        (
            2500,
            0.001,
            "2,500 negatives cannot tell a false-positive rate of 0.1 %: 3,100 are needed; shares found at it have no "
            "lower limit.",
        ),
        (
            9000,
            0.0,
            "9,000 negatives cannot tell a false-positive rate of 0 %: no number of them can; shares found at it have "
            "no lower limit.",
        ),
        (309, 0.01, ""),
        (30, 0.1, ""),
        (1, 1.0, ""),
        (0, 0.01, ""),  # everything at the matched rate is undefined then, and says why
    ],
)
def test_negatives_that_are_too_few_are_said_once(make_record, negatives, fpr, said):
    record = dataclasses.replace(make_record(models=2, negatives=negatives), fpr=fpr)
    assert few_negatives(record).replace("\u202f", " ") == said
    page, terminal = (re.sub(r"\s+", " ", shown(record)) for shown in (html, text))
    for shown in (page, terminal):
        assert shown.count("cannot tell a false-positive rate") == bool(said)
    assert said in terminal


@pytest.mark.parametrize("negatives", [30, 100, 250, 309, 1000])
def test_it_is_said_exactly_where_shares_have_no_lower_limit(make_record, negatives):
    labels = np.r_[np.ones(400), np.zeros(negatives)]
    scores = from_logits(np.random.default_rng(negatives).normal(12 * labels, 1.0))
    found = evaluate(scores, labels)
    record = make_record(models=1)
    record = dataclasses.replace(
        record, models={"plain": dataclasses.replace(record.models["plain"], numbers=found)}
    )
    assert found.tpr_at_fpr.value == 1
    assert (
        bool(few_negatives(record)) == (found.tpr_at_fpr.low < 0.01) == (negatives < negatives_needed(0.01))
    )


def test_what_stands_beside_one_model_is_not_made_up(make_record):
    alone = headline(make_record(models=1)).sentences
    assert "There is no other model beside it to compare with." in alone
    record = make_record(models=5, compared=False)
    controls = {name: model for name, model in record.models.items() if model.role == "control"}
    told = headline(dataclasses.replace(record, models=controls)).sentences
    assert "There is no plain model beside it to compare with." in told


def test_only_the_baseline_is_called_so(make_record):
    record = make_record(models=3)
    said = {name: explain(record, name).count("The baseline of all differences.") for name in record.models}
    assert said == {"plain": 1, "debiased": 0, "plain-same-steps": 0}
    turned = {"plain": record.comparisons.differences["debiased"]}
    turned = dataclasses.replace(record.comparisons, baseline="debiased", differences=turned)
    said = {
        name: explain(dataclasses.replace(record, comparisons=turned), name).count("baseline")
        for name in record.models
    }
    assert said == {"plain": 0, "debiased": 1, "plain-same-steps": 0}
    assert "baseline" not in explain(make_record(models=1), "plain")


def test_no_explanation_names_what_a_recipe_may_lack(record):
    for name in record.models:
        said = explain(record, name)
        assert "DB-VAE" not in said
        assert "autoencoder" not in said or "where the recipe has one" in said
