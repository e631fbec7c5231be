"""The job that gives a network another last layer, on a planted shortcut."""

import json
from base64 import b64encode
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from equipoise import run
from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.explore import opened
from equipoise.nn import Backbone, features
from equipoise.rate import Rate
from equipoise.report import fix_html, fix_text, read_fix
from equipoise.run.fix.failing import failing
from equipoise.run.fix.layers import group_ids, own_logits
from equipoise.run.saved import load
from equipoise.train import predict


class Colours(nn.Module):
    """Features are means of channels, and each of them bent; the last layer is of other classes."""

    def __init__(self, classes=7):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(12, classes)

    def forward(self, images):
        return self.last(self.body(images))


def pictures(rows, seed, agree, classes=2):
    """The class shows in red, weakly; the light (blue) goes with it in a share of the pictures, strongly."""
    chance = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    with_it = chance.random(rows) < agree
    light = np.where(with_it, labels, (labels + 1) % classes)
    images = chance.normal(90, 25, (rows, 8, 8, 3))
    images[..., 0] += 22 * labels[:, None, None] + chance.normal(0, 12, rows)[:, None, None]
    images[..., 2] += 60 * light[:, None, None]
    names = np.array(["dark", "bright", "glaring"])[light]
    return ImageTable.from_arrays(
        images.clip(0, 255).astype(np.uint8), labels, {"light": names, "subject": np.arange(rows) // 2}
    )


@pytest.fixture(scope="module")
def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Backbone.of(Colours(), size=8)


@pytest.fixture(scope="module")
def fixed(backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("fix") / "out"
    record = run.fix(
        backbone,
        run.Sources(data=pictures(600, 0, 0.93), test_data=pictures(400, 1, 0.5)),
        reading=run.Reading(image_size=8, cache=out.parent / "cache"),
        choosing=run.Choosing(groups=("light",)),
        output=run.Output(out),
    )
    return out, record


def test_the_worst_cell_is_better_and_nobody_told_it_the_groups(fixed):
    out, record = fixed
    before, after = (record.models[name].numbers for name in ("before", "after"))
    assert before.worst_cell["light"]["recall"].value < 0.5
    change = record.comparisons.differences["after"].worst_cell["light"]
    assert change.low > 0.05
    assert record.choice.method not in ("leave it", "groups equal", "DFR", "GroupDRO")
    assert record.choice.groups == []
    assert after.accuracy.value > before.accuracy.value
    oracle = record.models["groups equal"]
    assert oracle.role == "oracle"
    assert oracle.numbers.worst_cell["light"]["recall"].value > before.worst_cell["light"]["recall"].value
    assert not next(one for one in record.choice.tried if one.method == "groups equal").may_win
    assert record.network["last_layer"] == "of other classes"
    assert read_fix(out).choice == record.choice


def test_slices_of_the_data_are_counted_on_test_images_before_and_after(fixed):
    """The picture of class 1 without light fails: the slice found in the data holds such pictures of the test."""
    out, record = fixed
    assert record.slices
    assert record.slices_note == ""
    worst = max(record.slices, key=lambda one: one.before.value)
    numbers = record.models["before"].numbers
    assert worst.before.value > 2 * numbers.accuracy.complement.value
    assert worst.before.n == worst.after.n == worst.images < 200
    assert worst.change.value == pytest.approx(worst.after.value - worst.before.value)
    assert worst.change.high < 0
    assert "slices as groups" not in {one.method for one in record.choice.tried}  # unless it is named
    assert all(0 < len(one.shown) <= 10 and one.right_now <= len(one.shown) for one in record.slices)
    files = {f"slice_{number}": f"pictures/slice_{number}.png" for number, _ in enumerate(record.slices, 1)}
    assert record.pictures == files
    page = (out / "report.html").read_text()
    assert all(b64encode((out / file).read_bytes()).decode() in page for file in files.values())
    scores = pq.read_table(out / "scores.parquet")
    labels = pictures(400, 1, 0.5).labels
    wrong = {
        name: (scores[f"probability_{name}"].to_numpy() >= 0.5) != labels for name in ("before", "after")
    }
    for one in record.slices:
        assert wrong["before"][one.shown].all()
        assert wrong["after"][one.shown].tolist() == [i >= one.right_now for i in range(len(one.shown))]
    said = " ".join(fix_text(record).split())
    assert f"Of {len(record.slices)} hidden groups that the network failed on" in said
    assert worst.name in (out / "report.html").read_text()
    harmed = replace(worst, name="positive #9", change=Rate(0.2, 0.1, 0.3, worst.images))
    said = " ".join(fix_text(replace(record, slices=[worst, harmed])).split())
    assert "1 measurably improved, and 1 became measurably worse (positive #9)." in said


def test_the_network_that_is_saved_is_the_one_that_was_measured(fixed, backbone):
    out, record = fixed
    test = pictures(400, 1, 0.5)
    saved = load(out, encoder=Colours())
    right = (np.asarray(predict(saved.model, test)) > 0.5) == test.labels
    assert right.mean() == pytest.approx(record.models["after"].numbers.accuracy.value, abs=0.01)
    assert saved.method == "fixed"
    Colours(1).load_state_dict(saved.model.backbone.network.state_dict())  # its own names


def test_scores_say_what_each_last_layer_says_of_each_test_image(fixed):
    out, record = fixed
    table = pq.read_table(out / "scores.parquet")
    labels = table.column("label").to_numpy()
    for name, model in record.models.items():
        called = table.column(f"probability_{name}").to_numpy() >= 0.5
        assert (called == labels).mean() == pytest.approx(model.numbers.accuracy.value)
    explored = opened(out)
    assert (explored.kind, [call.name for call in explored.calls.models]) == ("fix", list(record.models))
    kept = explored.features
    assert np.load(out.parent / "cache" / "features" / kept / "features.npy").shape[0] == len(table) == 400


def test_words_and_page_say_what_changed(fixed):
    out, record = fixed
    said = " ".join(fix_text(record).split())
    assert said.startswith("Better by ")
    assert "without any group label" in said
    assert "training groups equal (oracle)" in said
    page = (out / "report.html").read_text()
    assert record.choice.chosen in page
    assert "Which hidden groups were mended" in page
    worst = record.slices[0]
    assert worst.name in page
    assert f"{worst.traits[0].value} {100 * worst.traits[0].share.value:.0f}" in page
    assert worst.traits[0].share.value > worst.traits[0].rest.value
    assert "light" in page
    settings = (out / "settings.toml").read_text()
    assert 'groups = ["light"]' in settings


def test_a_hidden_group_that_became_worse_is_a_measured_harm(fixed):
    _, record = fixed
    worse = replace(record.slices[0], change=replace(record.slices[0].change, value=0.3, low=0.2, high=0.4))
    said = " ".join(fix_text(replace(record, slices=[worse])).split())
    assert f"{worse.name}, a hidden group, fell by 30.0 points" in said
    assert "at a price" in said.split(".")[0] + said.split(".")[1]
    assert "Of 1 hidden groups that the network failed on, 0 measurably improved" in said


def test_a_second_start_shows_the_run_and_other_settings_are_refused(fixed, backbone):
    out, record = fixed
    said = []
    again = {
        "reading": run.Reading(image_size=8, cache=out.parent / "cache"),
        "output": run.Output(out, tell=said.append),
    }
    sources = run.Sources(data=pictures(600, 0, 0.93), test_data=pictures(400, 1, 0.5))
    found = run.fix(backbone, sources, choosing=run.Choosing(groups=("light",)), **again)
    assert any("holds this run already" in line for line in said)
    assert found.choice == record.choice
    with pytest.raises(InputError, match="settings"):
        run.fix(backbone, sources, choosing=run.Choosing(groups=("light",)), seed=1, **again)


@pytest.mark.slow
def test_without_a_shortcut_it_stays_as_it_is_and_no_network_is_written(tmp_path):
    network = Colours(2)
    data = pictures(600, 2, 0.5)
    backbone = Backbone.of(network, size=8)
    found = features(backbone, data)
    from equipoise.nn import fit_linear, with_last_layer

    good = fit_linear(found.features, data.labels, C=1.0)
    two = nn.Linear(12, 2)
    with torch.no_grad():
        two.weight.copy_(torch.cat([-good.weight, good.weight]) / 2)
        two.bias.copy_(torch.cat([-good.bias, good.bias]) / 2)
    backbone = with_last_layer(backbone, two, ["0", "1"])
    record = run.fix(
        backbone,
        run.Sources(data=pictures(500, 3, 0.5), test_data=pictures(300, 4, 0.5)),
        reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
        output=run.Output(tmp_path / "out"),
    )
    assert record.choice.method == "leave it"
    assert record.models["before"].title == "the network as it is"
    assert record.comparisons.differences["after"].accuracy.value == 0
    assert all(one.change.value == 0 and one.before == one.after for one in record.slices)
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert "Nothing was changed" in fix_text(record)


def test_own_logits_come_in_the_order_of_the_table():
    table = pictures(10, 0, 0.5, classes=3)
    network = Colours(3)
    backbone = Backbone.of(network, size=8)
    store = features(backbone, table)
    assert np.array_equal(own_logits(backbone, table, store), store.logits)
    named = replace(table, classes={"a": 0, "b": 1, "c": 2})
    turned = replace(backbone, class_names=("c", "a", "b"))
    assert np.array_equal(own_logits(turned, named, store), store.logits[:, [1, 2, 0]])
    assert own_logits(replace(backbone, class_names=("x", "a", "b")), named, store) is None
    assert own_logits(backbone, pictures(10, 0, 0.5), store) is None


def test_groups_of_several_columns_are_their_intersections():
    table = pictures(40, 0, 0.5)
    both = group_ids(table, ["light", "subject"])
    pairs = set(zip(table.column("light"), table.column("subject"), strict=True))
    assert len(np.unique(both)) == len(pairs)
    assert group_ids(table, []) is None
    one = group_ids(table, ["light"])
    assert [set(np.array(table.column("light"))[one == number]) for number in range(2)] == [
        {"bright"},
        {"dark"},
    ]


@pytest.mark.parametrize(
    ("choosing", "words"),
    [
        (run.Choosing(methods=("magic",)), "got 'magic'"),
        (run.Choosing(groups=("colour",)), "colour"),
        (run.Choosing(validation_groups=("colour",)), "colour"),
        (run.Choosing(methods=("slices as groups",)), "Expected slices"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(backbone, tmp_path, choosing, words):
    with pytest.raises(InputError, match=words):
        run.fix(
            backbone,
            run.Sources(data=pictures(60, 0, 0.9), test_data=pictures(40, 1, 0.5)),
            reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
            choosing=choosing,
            output=run.Output(tmp_path / "out"),
        )
    assert not (tmp_path / "out" / "fix.json").exists()


@pytest.mark.slow
def test_chosen_by_the_groups_of_some_rows(backbone, tmp_path):
    data = pictures(500, 0, 0.9)
    lights = np.array(data.column("light"), object)
    lights[100:] = None
    data = ImageTable.from_arrays(data.batch(np.arange(500)), data.labels, {"told": lights})
    record = run.fix(
        backbone,
        run.Sources(data=data, test_data=pictures(200, 1, 0.5)),
        reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
        choosing=run.Choosing(validation_groups=("told",)),
        output=run.Output(tmp_path / "out"),
    )
    assert record.choice.groups == ["told"]
    assert "groups were given to choose by" in record.choice.rule


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "colours_here.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 5))\n"
    )
    for side, rows, agree in (("data", 300, 0.9), ("test", 120, 0.5)):
        table = pictures(rows, len(side), agree)
        (tmp_path / side).mkdir()
        lines = ["path,label,light"]
        for row, picture in enumerate(table.batch(np.arange(rows))):
            Image.fromarray(picture).save(tmp_path / side / f"{row}.png")
            lines.append(f"{row}.png,{'odd' if table.labels[row] else 'even'},{table.column('light')[row]}")
        (tmp_path / side / "list.csv").write_text("\n".join(lines) + "\n")
    given = ["--data=data/list.csv", "--test-data=test/list.csv", "--label-column=label", "--groups=light"]
    given += ["--image-size=8", "--cache=cache", "--quiet", "--out=out"]
    assert main(["fix", "colours_here:net", *given]) == 0
    assert "last layer" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "fix.json").read_text())
    assert record["settings"]["model"] == "colours_here:net"
    assert record["network"]["name"] == "colours_here:net"
    assert main(["report", "out"]) == 0
    assert "last layer" in capsys.readouterr().out
    assert main(["fix", "nowhere:net", *given[:-1], "--out=o2"]) == 2
    assert main(["fix", "colours_here:net", "--quiet"]) == 2
    assert "Expected images to fix" in capsys.readouterr().err


def test_errors_by_chance_are_no_slice_and_that_is_said(backbone, fixed):
    data = pictures(600, 0, 0.5)
    store = features(backbone, data)
    chance = np.random.default_rng(1).random(600) < 0.1
    found = failing(store, data, np.where((data.labels == 1) ^ chance, 2.0, -2.0), [data.digests], 0)
    assert found.known == {}
    assert found.mended(store, data, data.labels, data.labels) == []
    assert found.note.startswith("No hidden group was found")
    quiet = replace(fixed[1], slices=[], slices_note=found.note)
    assert found.note in fix_text(quiet)
    assert found.note in fix_html(quiet)


@pytest.mark.slow
def test_of_few_images_slices_are_not_sought_and_the_fix_goes_on(backbone, tmp_path):
    record = run.fix(
        backbone,
        run.Sources(data=pictures(44, 0, 0.8), test_data=pictures(40, 1, 0.5)),
        reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
        output=run.Output(tmp_path / "out"),
    )
    assert record.slices == []
    assert "could not be sought. Expected at least 50 images" in record.slices_note
    assert "could not be sought" in fix_text(record)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [[], [1, 3, 5]])
def test_groups_that_are_known_of_the_test_alone_or_of_one_class_are_no_oracle(backbone, tmp_path, rows):
    data = pictures(120, 0, 0.9)
    names = [name if i in rows else None for i, name in enumerate(data.column("light"))]
    data = replace(data, attributes=data.attributes.set_column(0, "light", [names]))
    record = run.fix(
        backbone,
        run.Sources(data=data, test_data=pictures(80, 1, 0.5)),
        reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
        choosing=run.Choosing(groups=("light",)),
        output=run.Output(tmp_path / "out"),
    )
    assert "groups equal" not in record.models
    assert "light" in record.models["before"].numbers.groups


def test_a_class_of_too_few_images_is_refused_before_the_network_runs_over_them(tmp_path):
    network, seen = Colours(), []
    network.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    backbone = Backbone.of(network, size=8)
    seen.clear()
    data = pictures(60, 0, 0.9)
    few = data.take(np.r_[np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)[:3]])
    with pytest.raises(InputError, match="at least 4 different images"):
        run.fix(
            backbone,
            run.Sources(data=few, test_data=pictures(40, 1, 0.5)),
            reading=run.Reading(image_size=8, cache=tmp_path / "cache"),
            output=run.Output(tmp_path / "out"),
        )
    assert not seen
    assert not (tmp_path / "out" / "settings.toml").exists()


@pytest.mark.slow
def test_a_price_is_a_limit_of_the_run_and_is_checked_before_anything_is_read(backbone, fixed, tmp_path):
    free = fixed[1].choice
    cost = next(t.accuracy for t in free.tried if t.method == "leave it") - next(
        t.accuracy for t in free.tried if t.title == free.chosen
    )
    assert cost > 0.01
    record = run.fix(
        backbone,
        run.Sources(data=pictures(600, 0, 0.93), test_data=pictures(400, 1, 0.5)),
        reading=run.Reading(image_size=8),
        choosing=run.Choosing(groups=("light",), price=0.01),
        output=run.Output(tmp_path / "out"),
    )
    assert record.choice.chosen != free.chosen
    assert record.settings["price"] == 0.01
    assert "at most 1 %" in record.choice.rule
    assert "price" not in fixed[1].settings or fixed[1].settings["price"] is None
    assert "may not win" in fix_html(record)
    with pytest.raises(InputError, match="price must be a share"):
        run.Choosing(price=-0.1)


def test_the_command_knows_a_price(capsys):
    assert main(["fix", "timm:nothing", "--data", "nowhere.csv", "--price", "2"]) == 2
    assert "price must be a share" in " ".join(capsys.readouterr().err.split())
