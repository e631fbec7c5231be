"""`debias` by the default recipe and with all controls, against numbers worked out by hand from scores.parquet."""

import re

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main

COUNTS = {"shade": {"dark": 7, "light": 24}, "hat": {"yes": 12, "no": 19}}


@pytest.fixture(scope="module")
def found(debiased, recorded):
    return recorded(debiased)


@pytest.fixture(scope="module")
def columns(debiased, scores):
    return scores(debiased)


@pytest.fixture(scope="module")
def controlled(ran, recorded):
    """A DB-VAE beside all of its controls; it is trained for two epochs, plain for one."""
    changes = ("latent=4", "plain.epochs=1", "debiased.epochs=2", "plain.batch_size=16", "resampling.ess=0.4")
    flags = [f"--tune={change}" for change in changes]
    return ran("debias", "--recipe=mit-2021", "--groups=shade", *flags)


def missed(columns, model, threshold, group=None):
    """Share of positives below a threshold, by hand."""
    mine = columns["label"] == 1
    if group is not None:
        mine &= columns[group[0]] == group[1]
    return 1 - np.mean(columns[f"logit_{model}"][mine] >= threshold)


def test_a_group_says_how_many_positives_of_the_test_images_are_its_own(found):
    for model in found["models"].values():
        for attribute, counts in COUNTS.items():
            for group, n in counts.items():
                one = model["groups"][attribute][group]
                assert [one["positives"], one["tpr"]["n"], one["tpr_at_fpr"]["n"]] == [n, n, n]
                assert one["small"]
    assert found["data"]["counts"] == {
        "train": {"positives": 80, "negatives": 88},
        "test": {"positives": 31, "negatives": 52},
    }
    assert found["data"]["group_counts"]["train"] == {
        "shade": {"dark": 9, "light": 71},
        "hat": {"yes": 5, "no": 75},
    }
    assert found["data"]["group_counts"]["test"] == COUNTS


def test_positives_have_the_higher_scores(columns, found):
    for name in ("plain", "debiased"):
        logits, positive = columns[f"logit_{name}"], columns["label"] == 1
        pairs = logits[positive][:, None] > logits[~positive]
        assert pairs.mean() > 0.85
        assert found["models"][name]["auroc"]["value"] == pytest.approx(pairs.mean(), abs=1e-9)


def test_each_models_threshold_calls_few_negatives_positive_and_no_fewer_than_it_may(columns, found):
    for name in ("plain", "debiased"):
        model, negatives = found["models"][name], columns[f"logit_{name}"][columns["label"] == 0]
        above = [np.sum(negatives >= model["logit_at_fpr"] - less) for less in (0, 1e-6)]
        assert above == [2, 3]  # of 52, a twentieth
        assert model["fpr"]["value"] == pytest.approx(np.mean(negatives >= 0))
        right = (columns[f"logit_{name}"] >= 0) == (columns["label"] == 1)
        assert model["accuracy"]["value"] == pytest.approx(right.mean())


def test_rates_of_groups_are_those_of_their_own_scores(columns, found):
    for name in ("plain", "debiased"):
        model = found["models"][name]
        for point, key, threshold in (
            ("at_0.5", "tpr", 0.0),
            ("at_fpr", "tpr_at_fpr", model["logit_at_fpr"]),
        ):
            assert model[key]["value"] == pytest.approx(1 - missed(columns, name, threshold))
            for attribute, counts in COUNTS.items():
                by_hand = {g: 1 - missed(columns, name, threshold, (attribute, g)) for g in counts}
                for group, value in by_hand.items():
                    assert model["groups"][attribute][group][key]["value"] == pytest.approx(value)
                worst = model["worst_group"][attribute][point]
                assert worst["tpr"]["value"] == pytest.approx(min(by_hand.values()))
                assert by_hand[worst["group"]] == min(by_hand.values())
                gap = max(by_hand.values()) - min(by_hand.values())
                assert model["gap"][attribute][point]["value"] == pytest.approx(gap)


def test_changes_are_debiased_minus_plain(found):
    plain, debiased = (found["models"][name] for name in ("plain", "debiased"))
    change = found["comparisons"]["debiased"]
    assert change["baseline"] == "plain"
    found_at_fpr = debiased["tpr_at_fpr"]["value"] - plain["tpr_at_fpr"]["value"]
    assert change["tpr"]["at_fpr"]["value"] == pytest.approx(found_at_fpr)
    for key in ("accuracy", "auroc", "fpr"):
        assert change[key]["value"] == pytest.approx(debiased[key]["value"] - plain[key]["value"])
    assert change["accuracy"]["value"] != 0
    for attribute in COUNTS:
        before, after = (
            model["worst_group"][attribute]["at_fpr"]["tpr"]["value"] for model in (plain, debiased)
        )
        assert change["worst_group"][attribute]["at_fpr"]["value"] == pytest.approx(after - before)


def test_the_threshold_only_control_is_plain_with_as_many_false_positives_as_debiased(columns, found):
    moved, wanted = found["models"]["threshold-only"], found["models"]["debiased"]["fpr"]["value"]
    negatives = np.sort(columns["logit_plain"][columns["label"] == 0])[::-1]
    allowed = round(wanted * len(negatives))
    threshold = negatives[allowed]  # the first negative that must stay below
    mine = columns["label"] == 1
    assert moved["tpr"]["value"] == pytest.approx(np.mean(columns["logit_plain"][mine] > threshold))
    assert moved["fpr"]["value"] == pytest.approx(wanted)
    assert moved["auroc"] == found["models"]["plain"]["auroc"] != found["models"]["debiased"]["auroc"]


def test_a_picture_unlike_all_others_has_the_lowest_log_density(columns):
    rings = np.array([path.endswith(("/29.png", "/30.png")) for path in columns["path"]]) & (
        columns["label"] == 1
    )
    density = columns["log_density"]
    blocks = (columns["label"] == 1) & ~rings
    assert rings.sum() == 2
    assert density[rings].max() < density[blocks].min()
    assert np.median(density[blocks]) > np.median(
        density[columns["label"] == 0]
    )  # it is learned from positives


def test_the_picture_unlike_all_others_is_the_least_represented(debiased, people, found, tiles):
    odd = np.asarray(Image.open(people["positives"].replace("list.csv", "79.png")))
    sheets = {name: tiles((debiased / file).read_bytes()) for name, file in found["pictures"].items()}
    assert (sheets["least_represented"][0] == odd).all()
    assert not any((tile == odd).all() for tile in sheets["most_represented"])


def test_the_page_shows_least_and_most_under_their_names(debiased, found, figures):
    shown = dict(figures(debiased))
    for title in ("Least represented", "Most represented"):
        file = found["pictures"][title.lower().replace(" ", "_")]
        assert shown[title] == (debiased / file).read_bytes()


def test_what_is_shown_as_trained_on_is_of_the_training_positives(debiased, people, found, tiles):
    folder = people["positives"].removesuffix("list.csv")
    known = {np.asarray(Image.open(f"{folder}{i}.png")).tobytes() for i in range(80)}
    for name in ("least_represented", "most_represented"):
        shown = tiles((debiased / found["pictures"][name]).read_bytes())
        assert len(shown) == 32
        assert {tile.tobytes() for tile in shown} <= known


def test_a_picture_and_its_mirror_image_have_one_score(columns):
    for name in ("plain", "debiased"):
        logits = columns[f"logit_{name}"][columns["label"] == 1]
        first, second = logits[7:27:2], logits[8:28:2]  # ten pairs behind the seven dark ones
        assert np.unique(first).size == 10
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize(("folder", "name"), [("", "debiased"), ("models/plain", "plain")])
def test_the_saved_model_is_the_one_that_was_measured(
    debiased, people, columns, scores, tmp_path, folder, name
):
    assert (
        main(["score", str(debiased / folder), people["test-positives"], f"--out={tmp_path / 'all.parquet'}"])
        == 0
    )
    again = scores(tmp_path / "all.parquet")
    np.testing.assert_allclose(again["logit"], columns[f"logit_{name}"][columns["label"] == 1], atol=1e-5)


def test_training_saw_the_training_images_and_these_alone(found):
    for name in ("plain", "debiased"):
        assert found["models"][name]["steps"] == 4 * ((80 + 88) // 16)


def test_what_is_rare_was_drawn_more_often(found):
    sampling = found["resampling"]
    share, natural = sampling["share"]["shade"], sampling["natural_share"]["shade"]
    assert natural["dark"] == pytest.approx(9 / 80)
    assert share["dark"] > natural["dark"]
    assert sampling["enrichment"]["shade"]["dark"]["value"] == pytest.approx(share["dark"] / natural["dark"])
    assert sampling["meant"]["ess"] == pytest.approx(0.85, abs=0.01)
    assert sampling["ess"] >= sampling["meant"]["ess"]
    assert sampling["counted"]["draws"] == 8 * found["models"]["debiased"]["steps"]


def test_controls_differ_from_what_they_control_in_one_thing(controlled, recorded, scores):
    models = recorded(controlled)["models"]
    assert list(models) == ["plain", "debiased", "plain-same-steps", "uniform", "threshold-only"]
    steps = {name: model["steps"] for name, model in models.items()}
    assert steps == {
        "plain": 10,
        "debiased": 20,
        "plain-same-steps": 20,
        "uniform": 20,
        "threshold-only": None,
    }
    first = {name: {k: v[0] for k, v in model["history"].items() if v} for name, model in models.items()}
    assert (
        first["plain"]["total"] == first["plain-same-steps"]["total"]
    )  # the same weights and the same batch
    assert set(first["uniform"]) == set(first["debiased"])
    assert len(first["plain"]) < len(first["debiased"])
    logits = scores(controlled)
    assert not np.allclose(logits["logit_uniform"], logits["logit_debiased"], atol=1e-3)


def leading(cell):
    """The number that a cell begins with, a minus as people write it, and marks left out."""
    return float(re.search(r"[-−+]?[0-9]+[.][0-9]+", cell)[0].replace("−", "-"))


def test_the_page_says_the_numbers_of_the_record(debiased, found, tables):
    head, *rows = tables(debiased)["All test images"]
    wanted = {
        "Missed at 5 % FPR": lambda model: 100 * (1 - model["tpr_at_fpr"]["value"]),
        "Missed at 0.5": lambda model: 100 * (1 - model["tpr"]["value"]),
        "False positives at 0.5": lambda model: 100 * model["fpr"]["value"],
        "Accuracy at 0.5": lambda model: 100 * model["accuracy"]["value"],
        "AUROC": lambda model: model["auroc"]["value"],
    }
    assert len(rows) == len(found["models"])
    for row, model in zip(rows, found["models"].values(), strict=True):
        assert row[0].startswith(model["title"])
        for name, of in wanted.items():
            assert leading(row[head.index(name)]) == pytest.approx(of(model), abs=0.051), name


def test_the_page_shows_fewer_misses_as_a_fall(debiased, found, tables):
    head, *rows = tables(debiased)["Change over all test images, percentage points"]
    change = found["comparisons"]["debiased"]
    by_name = {row[0]: leading(row[1]) for row in rows}
    assert by_name["Missed at 5 % FPR"] == pytest.approx(-100 * change["tpr"]["at_fpr"]["value"], abs=0.051)
    assert by_name["Missed at 0.5"] == pytest.approx(-100 * change["tpr"]["at_0.5"]["value"], abs=0.051)
    assert by_name["Accuracy at 0.5"] == pytest.approx(100 * change["accuracy"]["value"], abs=0.051)
    assert by_name["Missed at 0.5"] < 0
    assert len(head) == 2 + ("plain, threshold moved" in head)


def test_the_page_names_each_group_with_its_count_and_its_misses(debiased, found, tables):
    rows = {row[0].split()[0]: row for row in tables(debiased)["Miss rate by shade at threshold 0.5"][1:3]}
    for group, n in COUNTS["shade"].items():
        assert int(rows[group][1]) == n
        for place, model in enumerate(found["models"].values(), 2):
            missed_here = 100 * (1 - model["groups"]["shade"][group]["tpr"]["value"])
            assert leading(rows[group][place]) == pytest.approx(missed_here, abs=0.051)
