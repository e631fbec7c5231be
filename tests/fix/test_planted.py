"""A shortcut that is planted: who fails, what mends it, and whether it is chosen."""

import numpy as np
import pytest
import torch

from equipoise.errors import InputError
from equipoise.fix import FIXES, LEAVE, choose, refit
from equipoise.nn import fit_linear


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["errors as groups", "mended errors", "groups equal", "DFR", "GroupDRO"])
def test_who_fails_is_mended(method, classes, scene, worst_group):
    train, test = scene(1500, classes=classes), scene(1500, classes=classes, failing=0.5, seed=1)
    plain = worst_group(fit_linear(train[0], train[1], C=1e-2), *test)
    known = {"groups": train[2]} if FIXES[method].needs_groups else None
    mended = worst_group(refit(train[0], train[1], method, known=known), *test)
    assert plain < 0.5
    assert mended > plain + 0.2


def test_a_mending_is_chosen_and_said(scene, worst_group):
    train, test = scene(1000), scene(1500, failing=0.5, seed=1)
    choice = choose(train[0], train[1], groups=train[2], seeds=2)
    plain = worst_group(fit_linear(train[0], train[1], C=1e-2), *test)
    assert worst_group(choice.layer, *test) > plain + 0.2
    assert choice.chosen.method in ("errors as groups", "mended errors")
    assert choice.chosen.merit > choice.left.merit + choice.doubt
    assert choice.left.method == LEAVE
    assert choice.left.accuracy > choice.chosen.accuracy
    assert choice.chosen.worst_group > choice.left.worst_group + 0.15
    merits = [one.merit for one in choice.candidates]
    assert merits == sorted(merits, reverse=True)
    assert len(choice.chosen.merits) == 2
    assert not any(one.may_win for one in choice.candidates if one.method in ("DFR", "groups equal"))
    assert 0 <= choice.stability <= 1
    assert "references" in choice.rule
    assert not choice.notes


@pytest.mark.slow
def test_what_costs_more_than_is_allowed_does_not_win(scene):
    features, labels, _ = scene(1000, shares=(0.7, 0.3))
    free = choose(features, labels, seeds=1)
    cost = free.left.accuracy - free.chosen.accuracy
    assert cost > 0  # where the shortcut holds for most rows, giving it up costs
    dearest = choose(features, labels, seeds=1, price=cost)
    assert dearest.chosen == free.chosen  # the limit itself is allowed
    limited = choose(features, labels, seeds=1, price=0.9 * cost)
    assert limited.chosen.name != free.chosen.name
    assert limited.left.accuracy - limited.chosen.accuracy <= 0.9 * cost
    for one in limited.candidates:
        assert one.may_win == (limited.left.accuracy - one.accuracy <= 0.9 * cost), one.name
    assert next(one for one in limited.candidates if one.method == LEAVE).may_win
    assert f"{90 * cost:g} %" in limited.rule
    assert "%" not in free.rule


def test_groups_that_only_measure_change_nothing(scene):
    features, labels, groups = scene(500)
    seen = choose(features, labels, groups=groups, seeds=1, methods=["errors as groups", "groups equal"])
    unseen = choose(features, labels, seeds=1, methods=["errors as groups"])
    assert seen.chosen.name == unseen.chosen.name
    assert torch.equal(seen.layer.weight, unseen.layer.weight)
    assert unseen.chosen.worst_group is None
    again = choose(features, labels, seeds=1, methods=["errors as groups"])
    assert torch.equal(again.layer.weight, unseen.layer.weight)
    assert again.candidates == unseen.candidates


def test_groups_of_too_few_rows_measure_as_far_as_they_can(scene):
    features, labels, groups = scene(200)
    few = np.where(np.arange(200) < 5, groups, -1)
    choice = choose(features, labels, groups=few, seeds=1)
    assert choice.chosen.worst_group is not None
    assert not any(FIXES[one.method].needs_groups for one in choice.candidates if one.method != LEAVE)


def test_groups_of_some_rows_choose(scene, worst_group):
    train, test = scene(1000), scene(1500, failing=0.5, seed=1)
    some = np.where(np.arange(1000) < 600, train[2], -1)
    choice = choose(train[0], train[1], validation_groups=some, seeds=1)
    assert "groups were given to choose by" in choice.rule
    assert choice.chosen.merit == choice.chosen.worst_group
    assert all(one.may_win for one in choice.candidates if one.method == "groups equal")
    plain = worst_group(fit_linear(train[0], train[1], C=1e-2), *test)
    assert worst_group(choice.layer, *test) > plain + 0.2


def test_where_nothing_fails_it_stays(scene):
    chance = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = chance.normal(size=(400, 6)).astype(np.float32)
    features[:, 0] += 12 * labels
    current = np.where(labels == 1, 3.0, -3.0)
    choice = choose(features, labels, current=current, seeds=1)
    assert choice.layer is None
    assert choice.chosen.method == LEAVE
    assert "nothing to mend" in choice.notes[0]
    own = choose(features, labels, seeds=1)  # without a network of its own, a plain layer
    assert own.chosen.method == LEAVE
    assert own.layer is not None


def test_a_network_that_is_right_already_stays(scene):
    features, labels, _ = scene(600, failing=0.1)
    good = np.where(labels == 1, 2.0, -2.0)
    good[:12] *= -1
    choice = choose(features, labels, current=np.stack([-good, good], 1), seeds=1)
    assert choice.layer is None
    assert "stays as it is" in choice.notes[0]


def test_what_mends_some_by_failing_many_does_not_win(scene):
    features, labels, _ = scene(900)
    choice = choose(features, labels, seeds=1, methods=["JTT", "errors as groups"])
    turned = next(one for one in choice.candidates if one.name == "JTT (factor 100)")
    assert turned.balanced < choice.chosen.balanced - 0.1
    assert choice.chosen.method == "errors as groups"


def test_rows_of_one_content_do_not_vouch_for_one_another():
    chance = np.random.default_rng(9)
    features = chance.normal(size=(60, 40)).astype(np.float32)
    noise = chance.integers(0, 2, 60)  # labels that nothing tells, but each row is there four times
    many, said, contents = np.repeat(features, 4, 0), np.repeat(noise, 4), np.repeat(np.arange(60), 4)
    leaking = choose(many, said, seeds=1, methods=["plain"])
    kept = choose(many, said, seeds=1, methods=["plain"], together=(contents,))
    assert leaking.left.accuracy > kept.left.accuracy + 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.zeros(80, int)}, "two classes or more"),
        ({"labels": np.repeat([0, 1], [77, 3])}, r"at least 4 different images.*class\s1 \(3\)"),
        ({"labels": np.repeat([0, 2], 40)}, r"class\s1 \(0\)"),
        ({"labels": np.zeros(79, int)}, "for each of 80 rows of features"),
        ({"labels": np.full(80, 0.5)}, "whole numbers"),
        ({"labels": -np.ones(80, int)}, "labels of 0 or more"),
        ({"classes": 1}, "Check `classes`"),
        ({"together": (np.zeros(80, int),)}, r"at least 4 different images \(or subjects\)"),
        ({"together": (np.zeros(3),)}, "a content and a subject for each of 80"),
        ({"groups": np.zeros(79, int)}, "groups of whole numbers, one for each of 80"),
        ({"groups": np.full(80, -2)}, "groups of -1 or more"),
        ({"groups": np.zeros(80, int), "validation_groups": np.zeros(80, int)}, "got both"),
        (
            {"validation_groups": np.where(np.arange(80) < 3, 0, -1)},
            "at least 4 rows of known group in each class",
        ),
        ({"known": {"slices": np.zeros(3, int)}}, "slices of whole numbers"),
        ({"known": {"log_density": np.full(80, np.nan)}}, "log_density, a finite number"),
        ({"known": {"colour": np.zeros(80)}}, "got 'colour'"),
        ({"methods": ["magic"]}, "got 'magic'"),
        ({"methods": ["DFR"]}, "Expected groups for 'DFR'"),
        ({"current": np.zeros(79)}, "logits of 2 classes for each of 80"),
        ({"current": np.zeros((80, 3))}, "logits of 2 classes"),
        ({"current": np.full(80, np.inf)}, "must be finite"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"parts": 1}, "parts must be at least 2"),
        ({"price": 1.5}, "price must be a share"),
        ({"price": float("nan")}, "price must be a share"),
        ({"seed": -1}, "A seed must be 0 or larger"),
        ({"features": np.full((80, 3), np.nan)}, "finite.*row 0"),
    ],
)
def test_errors(change, words):
    features = np.random.default_rng(0).normal(size=(80, 3))
    given = {"features": features, "labels": np.arange(80) % 2, **change}
    with pytest.raises(InputError, match=words):
        choose(given.pop("features"), given.pop("labels"), **given)


def test_errors_of_one_fix(scene):
    features, labels, _ = scene(80)
    with pytest.raises(InputError, match="got 'magic'"):
        refit(features, labels, "magic")
    with pytest.raises(InputError, match="seeds must be at least 1"):
        refit(features, labels, seeds=0)
