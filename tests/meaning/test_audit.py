"""`audit` of a network that can be computed by hand, on pictures of even colours that say by themselves what they are.

The network calls a picture 1 if it has more red than a half, and its features are the colours of the four quarters.
"""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.cli import main
from equipoise.rate import Rate
from equipoise.report import audit_text, read_audit

EYES = """
import torch
from torch import nn


class Eyes(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(12, 2)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.weight[1, :4] = 5.0
            self.last.bias.copy_(torch.tensor([0.0, -10.0]))

    def forward(self, images):
        return self.last(self.body(images))
"""
ALIEN, ODD, RED, COPIES = 0, 61, (38, 39), range(70, 76)
ATTIC = (1, 2, 38, 39, 75, 80, 81)  # seven, three of which the network gets wrong
SCORES = ("representation_neighbours", "epistemic_last_layer", "label_noise", "picture_quality")


@pytest.fixture(scope="module")
def images():
    """100 pictures. The red of label 0 is spread widely, that of label 1 is nearly the same."""
    chance = np.random.default_rng(0)
    found = np.zeros((100, 16, 16, 3))
    found[:40, ..., 0] = np.linspace(20, 119, 40)[:, None, None]
    found[40:, ..., 0] = 180
    found[list(RED), ..., 0] = 140  # label 0: the network is wrong
    found[..., 2] = 100
    found[ODD, ..., 2] = 122  # unlike the others of label 1, but less so than any picture of label 0
    found[..., [0, 2]] += chance.normal(0, 3, (100, 16, 16, 2))
    found[ALIEN, ..., 1] = 250  # unlike all others
    found[list(COPIES)] = found[COPIES[0]] + [20, 60, 0]  # one picture, again and again with a wrong label
    return found.round().astype(np.uint8)


@pytest.fixture(scope="module")
def labels():
    found = np.arange(100) >= 40
    found[list(COPIES)] = False
    return found.astype(int)


@pytest.fixture(scope="module")
def audited(images, labels, writes, tmp_path_factory):
    root = tmp_path_factory.mktemp("audit")
    (root / "their_eyes.py").write_text(EYES)
    rooms = ["attic" if i in ATTIC else "cellar" for i in range(100)]
    hats = ["yes" if i % 3 == 0 else "no" for i in range(100)]
    path = writes(root / "pictures", images, label=labels, room=rooms, hat=hats)
    flags = ["--image-size=16", "--groups=room,hat", "--methods=neighbours,last-layer", "--epochs=1"]
    flags += ["--bad-picture=0.999"]  # none: the other kinds have all of theirs
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["audit", "their_eyes:Eyes", path, *flags, "--device=cpu", "--quiet", "--out=out"]) == 0
    return root / "out"


@pytest.fixture(scope="module")
def found(audited, recorded):
    return recorded(audited, "audit.json")


def test_the_network_is_asked_for_class_1_and_wrong_where_that_was_planted(audited, found, scores, images):
    columns = scores(audited)
    red = images[..., 0].mean((1, 2)) / 255
    np.testing.assert_allclose(columns["probability"], 1 / (1 + np.exp(10 - 20 * red)), atol=1e-5)
    wrong = np.flatnonzero(columns["predicted"] != columns["label"])
    assert wrong.tolist() == [*RED, *COPIES]
    assert found["model"]["accuracy"]["value"] == pytest.approx(0.92)


def test_what_is_unlike_all_others_is_shown_as_highest_and_not_as_lowest(audited, found, images, tiles):
    risk = found["risks"]["representation_neighbours"]
    assert ALIEN in risk["highest"][:2]  # each half has a first
    assert risk["highest_of_label"]["0"][0] == risk["highest"][0]
    assert ODD in risk["highest_of_label"]["1"][:2]
    assert not {ALIEN, ODD} & set(risk["lowest"])
    for name in SCORES:
        for end in ("highest", "lowest"):
            shown = tiles((audited / found["pictures"][f"{name}_{end}"]).read_bytes())
            np.testing.assert_array_equal(shown, images[found["risks"][name][end]])


def test_the_page_shows_each_end_under_its_name(audited, found, figures):
    ends = [(title, png) for title, png in figures(audited) if title in ("Highest", "Lowest")]
    wanted = [
        (end.capitalize(), (audited / found["pictures"][f"{name}_{end}"]).read_bytes())
        for name in SCORES
        for end in ("highest", "lowest")
    ]
    assert ends == wanted


def test_rows_at_the_ends_are_those_of_the_scores(audited, found, scores):
    columns = scores(audited)
    for name in SCORES:
        values, risk = columns[f"{name}_percentile"], found["risks"][name]
        assert (values[risk["highest"]] == np.sort(values)[::-1][: len(risk["highest"])]).all()
        assert (values[risk["lowest"]] == np.sort(values)[: len(risk["lowest"])]).all()


def test_rare_is_judged_among_images_of_the_same_label(audited, scores, labels):
    columns = scores(audited)
    everywhere = columns["representation_neighbours_percentile"]
    inside = columns["representation_neighbours_percentile_of_label"]
    assert everywhere[ODD] < 0.9  # among all images each of label 0 is rarer
    assert inside[ODD] > 0.9
    assert columns["kind"][ODD] == "rare"
    assert columns["kind"][ALIEN] == "rare"
    for label in (0, 1):
        assert inside[labels == label].mean() == pytest.approx(0.5)
        assert 0.02 < (columns["kind"][labels == label] == "rare").mean() < 0.2


def test_copies_of_a_picture_do_not_confirm_each_others_label(audited, found, scores):
    columns, rows = scores(audited), list(COPIES)
    assert (columns["label_noise"][rows] > 0.5).all()
    assert columns["label_suspected"][rows].all()
    assert (columns["kind"][rows] == "mislabelled").all()
    assert set(found["kinds"]["mislabelled"]["examples"]) <= {*COPIES, *RED}
    assert len(set(columns["half"][rows])) == 1


def test_a_group_counts_its_own_images(found, scores, audited):
    attic, cellar = (found["groups"]["room"][name] for name in ("attic", "cellar"))
    assert (attic["n"], cellar["n"]) == (7, 93)
    assert (attic["small"], cellar["small"]) == (True, False)
    assert attic["accuracy"]["value"] == pytest.approx(4 / 7)
    assert cellar["accuracy"]["value"] == pytest.approx(88 / 93)
    assert {name: one["n"] for name, one in found["groups"]["hat"].items()} == {"yes": 34, "no": 66}
    assert found["data"]["labels"]["audited"] == {"0": 46, "1": 54}


def test_a_group_is_compared_with_the_others_by_its_own_percentiles(found, scores, audited):
    columns = scores(audited)
    for column, name in (("room", "attic"), ("room", "cellar"), ("hat", "yes")):
        inside = columns[column] == name
        one = found["groups"][column][name]
        for risk in SCORES:
            values = columns[f"{risk}_percentile_of_label"]
            mean, others = values[inside].mean(), values[~inside].mean()
            assert one["percentile"][risk]["value"] == pytest.approx(mean)
            assert one["difference"][risk]["value"] == pytest.approx(mean - others)
        for kind, share in one["kinds"].items():
            assert share["value"] == pytest.approx((columns["kind"][inside] == kind).mean())
    assert (
        found["groups"]["room"]["attic"]["difference"]["label_noise"]["value"] > 0.05
    )  # three are wrong there


def test_enrichment_favours_the_group_that_is_rarer(found):
    for groups in found["groups"].values():
        first, second = groups.values()
        key = "representation_neighbours"
        rarer = first["percentile"][key]["value"] > second["percentile"][key]["value"]
        assert rarer == (first["enrichment"][key]["value"] > second["enrichment"][key]["value"])


def test_accuracy_falls_with_the_score_that_knows_the_wrong_labels(found):
    risk = found["risks"]["label_noise"]
    assert risk["finds_errors"]["value"] > 0.9
    assert risk["sees_label"]
    assert not found["risks"]["representation_neighbours"]["sees_label"]
    right = [rate["value"] for rate in risk["accuracy_by_decile"]]
    assert right[0] == 1 > right[-1]
    assert risk["rejection"]["0"]["value"] == pytest.approx(0.92)
    assert risk["rejection"]["0.1"]["value"] > 0.99
    assert risk["error"][-1] == pytest.approx(0.08)
    assert risk["errors_in_top"]["value"] > 0.9


def test_kinds_are_counted_and_their_clearest_example_comes_first(audited, found, scores):
    columns = scores(audited)
    for kind, one in found["kinds"].items():
        mine = columns["kind"] == kind
        assert one["share"]["value"] == pytest.approx(mine.mean())
        assert set(one["examples"]) <= set(np.flatnonzero(mine))
        if mine.any():
            right = columns["predicted"][mine] == columns["label"][mine]
            assert one["accuracy"]["value"] == pytest.approx(right.mean())
    noise = columns["label_noise"][found["kinds"]["mislabelled"]["examples"]]
    assert (np.diff(noise) <= 0).all()
    assert {ALIEN, ODD} <= set(found["kinds"]["rare"]["examples"][:4])
    calm = found["kinds"]["ordinary"]["examples"][0]
    assert max(columns[f"{name}_percentile"][calm] for name in SCORES) < 0.7


def test_the_group_most_clearly_at_risk_is_named_first(audited):
    record = read_audit(audited)
    one = record.groups["hat"]["yes"]
    groups = {
        name: replace(
            one, small=False, difference={risk: Rate(low + 0.1, low, low + 0.2, 40) for risk in SCORES}
        )
        for name, low in {"calm": -0.3, "clear": 0.02, "clearer": 0.2, "between": 0.1}.items()
    }
    said = audit_text(replace(record, groups={"hat": groups}, verdicts={}))
    assert "representation risk is measurably higher for clearer, between and clear" in " ".join(said.split())
