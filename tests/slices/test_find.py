"""Planted groups are found and nothing else is; what goes in wrong is said."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.slices import Found, Options, find


@pytest.fixture(scope="module")
def scene(planted):
    return planted()


@pytest.fixture(scope="module")
def found(scene) -> Found:
    return find(scene.features, scene.labels, scene.logits, class_names=("cat", "dog"))


def best(found: Found, hidden, group: int) -> tuple[float, float]:
    """Purity and recall of the slice that holds most of a group, over all images."""
    inside = [(hidden[found.ids == i] == group).sum() for i in range(len(found.slices))]
    if not inside:
        return 0.0, 0.0
    chosen = found.ids == int(np.argmax(inside))
    return float((hidden[chosen] == group).mean()), float(
        (hidden == group)[chosen].sum() / (hidden == group).sum()
    )


def test_planted_groups_are_found_whole_and_pure(scene, found):
    for group in (0, 1):
        purity, recall = best(found, scene.hidden, group)
        assert purity > 0.9
        assert recall > 0.8


def test_two_groups_of_one_class_are_two_slices(planted):
    scene = planted(2400, groups=4, seed=3)
    found = find(scene.features, scene.labels, scene.logits)
    assert all(best(found, scene.hidden, group)[0] > 0.9 for group in range(4))


def test_numbers_of_a_slice_are_those_of_the_half_that_tests(scene, found):
    wrong = (scene.logits >= 0) != scene.labels
    for i, one in enumerate(found.slices):
        own = (found.ids == i) & found.testing
        mine = (scene.labels == ("cat", "dog").index(one.class_name)) & found.testing
        rest = mine & ~own
        assert not (own & ~mine).any()
        assert one.errors.n == own.sum()
        assert one.errors.value == pytest.approx(wrong[own].mean())
        assert one.rest.value == pytest.approx(wrong[rest].mean())
        assert one.excess.value == pytest.approx(wrong[own].mean() - wrong[rest].mean())
        assert one.excess.low < one.excess.value < one.excess.high
        assert one.share.value == pytest.approx(own.sum() / mine.sum())
        assert one.size == (found.ids == i).sum()
        assert sum(one.confused_with.values()) == wrong[own].sum()
        assert len(one.typical) == 9
        assert all(own[row] for row in one.typical)
        assert one.p <= 0.1


def test_worst_comes_first(found):
    low = [one.excess.low for one in found.slices]
    assert low == sorted(low, reverse=True)
    assert [one.name for one in found.slices[:2]] in (["cat #1", "dog #1"], ["dog #1", "cat #1"])


def test_the_halves_are_equal_in_each_class_and_errors(scene, found):
    wrong = (scene.logits >= 0) != scene.labels
    for label in (0, 1):
        for fails in (True, False):
            mine = (scene.labels == label) & (wrong == fails)
            assert abs(int(found.testing[mine].sum()) * 2 - int(mine.sum())) <= 1


def test_order_of_rows_plays_no_part_and_the_seed_decides(scene, found):
    order = np.random.default_rng(1).permutation(len(scene.labels))
    again = find(scene.features[order], scene.labels[order], scene.logits[order], class_names=("cat", "dog"))
    assert (again.testing == found.testing[order]).all()
    assert (again.ids == found.ids[order]).all()
    assert [str(one) for one in again.slices] == [str(one) for one in found.slices]
    other = find(scene.features, scene.labels, scene.logits, options=Options(seed=1))
    assert (other.testing != found.testing).any()


def test_nothing_is_found_where_errors_are_chance(planted):
    runs = 8
    false = 0
    for seed in range(runs):
        scene = planted(800, groups=2, seed=100 + seed, failing=0.15, wrong=0.15)
        found = find(scene.features, scene.labels, scene.logits, options=Options(seed=seed))
        false += bool(found.slices)
    assert false <= 2  # at most 0.8 are expected; more than 2 in one of 25 seeds


def test_none_found_says_how_small_a_failure_would_have_been_seen(planted):
    scene = planted(1200, seed=100, failing=0.15, wrong=0.15)
    found = find(scene.features, scene.labels, scene.logits)
    assert not found.slices
    assert set(found.ids) == {-1}
    assert found.column() == [None] * 1200
    said = str(found)
    assert "No slice was found" in said
    assert "four times of five a slice would have been seen" in said
    smallest = found.classes[0].smallest
    assert smallest[0.05] > smallest[0.1] > found.classes[0].errors.value


def test_more_images_show_smaller_failures(planted):
    few, many = (
        find(*planted(n, seed=100, failing=0.15, wrong=0.15)[:3]).classes[0].smallest[0.1]
        for n in (800, 2000)
    )
    assert many < few


def test_columns_tell_slices_and_explain_them(scene):
    marks = np.where(scene.hidden == 0, "night", "day").tolist()
    marks[:3] = [None] * 3
    chance = np.random.default_rng(0).integers(0, 5, len(marks)).tolist()
    found = find(scene.features, scene.labels, scene.logits, columns={"light": marks, "chance": chance})
    one = next(one for one in found.slices if one.class_name == "class 0")
    assert [(v.column, v.value) for v in one.over_represented] == [("light", "night")]
    assert one.over_represented[0].share.value > 0.9
    assert one.over_represented[0].rest.value < 0.1
    other = next(one for one in found.slices if one.class_name == "class 1")
    assert not other.over_represented


def test_pairs_of_columns_are_searched():
    rng = np.random.default_rng(0)
    n = 2000
    a, b = rng.integers(0, 3, n), rng.integers(0, 3, n)
    both = (a == 1) & (b == 2)
    wrong = rng.random(n) < np.where(both, 0.6, 0.05)
    labels = rng.integers(0, 2, n)
    found = find(
        rng.normal(size=(n, 8)), labels, labels ^ wrong, columns={"hat": a.tolist(), "glasses": b.tolist()}
    )
    assert {one.told for one in found.slices[:2]} == {"hat = 1 and glasses = 2"}
    assert all(both[found.ids == i].all() for i in (0, 1))
    assert "told by hat = 1 and glasses = 2" in str(found.slices[0])


def test_flags_name_what_is_wrong_with_pictures(scene):
    mislabelled = (scene.hidden == 0) & ((scene.logits >= 0) != scene.labels)
    found = find(scene.features, scene.labels, scene.logits, flags={"mislabelled": mislabelled})
    kinds = {one.class_name: one.kind for one in found.slices[:2]}
    assert kinds["class 0"] == "mislabelled"
    assert kinds["class 1"] in ("rare", "hard")


def test_rare_is_small_or_thin_and_hard_is_neither(planted):
    small = planted(2000, groups=2, seed=1)
    keep = (small.hidden < 0) | (np.arange(2000) % 5 < 3)
    found = find(small.features[keep], small.labels[keep], small.logits[keep])
    assert {one.kind for one in found.slices[:2]} == {"rare"}


def test_copies_are_on_one_side_and_counted_once(scene):
    rows = np.concatenate([np.arange(1600), np.arange(600)])
    found = find(scene.features[rows], scene.labels[rows], scene.logits[rows])
    assert (found.testing[1600:] == found.testing[:600]).all()
    assert (found.ids[1600:] == found.ids[:600]).all()
    content = np.concatenate([np.arange(1600), np.arange(600)])
    for i, one in enumerate(found.slices):
        assert one.errors.n == len(set(content[(found.ids == i) & found.testing].tolist()))
    assert sum(one.errors.n for one in found.classes) == len(set(content[found.testing].tolist()))
    assert any("600 of 2200 images are copies" in note for note in found.notes)


def test_subjects_are_on_one_side_and_counted_once_a_class(scene):
    subjects = np.repeat(np.arange(800), 2).tolist()
    subjects[:10] = [None] * 10
    found = find(scene.features, scene.labels, scene.logits, together=[subjects])
    sides = found.testing[10:].reshape(-1, 2)
    assert (sides[:, 0] == sides[:, 1]).all()
    three = np.repeat(np.arange(400), 4).tolist()  # two images a class
    found = find(scene.features, scene.labels, scene.logits, together=[three])
    assert sum(one.errors.n for one in found.classes) == pytest.approx(400, abs=4)


def test_probabilities_logits_and_predictions_say_the_same_errors(planted):
    scene = planted(800)
    p = 1 / (1 + np.exp(-scene.logits))
    forms = [
        scene.logits,
        p,
        scene.logits[:, None],
        np.stack([1 - p, p], 1),
        np.stack([-scene.logits, scene.logits], 1),
        scene.logits >= 0,
    ]
    found = [find(scene.features, scene.labels, form) for form in forms]
    assert len({tuple(one.testing) for one in found}) == 1
    assert len({tuple(c.errors.value for c in one.classes) for one in found}) == 1
    assert [str(one.slices[0]) for one in found[:1]] == [str(one.slices[0]) for one in found[1:2]]
    assert all(one.slices for one in found)
    assert "predicted classes" in found[-1].notes[0]


def test_half_precision_on_the_disk_is_read_as_it_is(scene, found, tmp_path):
    np.save(tmp_path / "features.npy", scene.features.astype(np.float16))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    halved = find(mapped, scene.labels, scene.logits)
    assert best(halved, scene.hidden, 0)[0] > 0.9


def test_many_classes(planted):
    rng = np.random.default_rng(0)
    scene = planted(3000, groups=2)
    labels = np.where(np.arange(3000) % 3 == 2, 2, scene.labels)
    wrong = (scene.logits >= 0) != scene.labels
    logits = rng.normal(size=(3000, 3))
    logits[np.arange(3000), np.where(wrong, (labels + 1) % 3, labels)] += 8
    found = find(scene.features, labels, logits, class_names=("a", "b", "c"))
    assert {"a", "b"} <= {one.class_name for one in found.slices}
    for one in found.slices:
        expected = {"a": "b", "b": "c", "c": "a"}[one.class_name]
        assert next(iter(one.confused_with)) == expected


def test_classes_without_hits_or_errors_say_so(planted):
    scene = planted()
    logits = np.where(scene.labels == 0, -1.0, scene.logits)
    found = find(scene.features, scene.labels, logits)
    assert "none of 800 images is wrong" in str(found.classes[0])
    assert {one.class_name for one in found.slices} == {"class 1"}
    found = find(scene.features, scene.labels, np.where(scene.labels == 0, 1.0, scene.logits))
    assert "all of 800 images are wrong" in str(found.classes[0])


def test_a_model_without_errors_has_nothing_to_find(planted):
    scene = planted(200)
    found = find(scene.features, scene.labels, scene.labels)
    assert not found.slices
    assert "right in all of 200 images" in str(found)


def test_one_class_is_searched_alone_and_says_so(planted):
    scene = planted()
    mine = scene.labels == 0
    found = find(scene.features[mine], scene.labels[mine], scene.logits[mine])
    assert found.slices
    assert any("All images are of class 0" in note for note in found.notes)


def test_a_class_of_few_images_says_so(planted):
    scene = planted(400)
    labels = scene.labels.copy()
    labels[:12] = 2
    scores = np.eye(3)[np.where(scene.logits >= 0, 1, 0)]
    found = find(scene.features, labels, scores)
    assert "all of 12 images are wrong" in str(found.classes[2])
    scores[:6] = [0, 0, 1]
    assert "6 images in a half are too few" in str(find(scene.features, labels, scores).classes[2])


def broken(scene, **change):
    given = {"features": scene.features, "labels": scene.labels, "scores": scene.logits} | change
    return lambda: find(given.pop("features"), given.pop("labels"), given.pop("scores"), **given)


def spoilt(values, row: int, value: float):
    values = np.array(values, np.float64)
    values[row] = value
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"features": s.features[:, 0]}, "Features must be numbers of shape"),
        (lambda s: {"features": s.features.astype(str)}, "Features must be numbers of shape"),
        (lambda s: {"features": s.features[:, :0]}, "Features must be numbers of shape"),
        (lambda s: {"features": spoilt(s.features, 7, np.nan)}, "row 7"),
        (lambda s: {"features": spoilt(s.features, 9, np.inf)}, "row 9"),
        (lambda s: {"features": spoilt(s.features, 3, 1e30)}, "row 3"),
        (lambda s: {"labels": s.labels[:-1]}, "class id for each of 1600 rows"),
        (lambda s: {"labels": s.labels - 1}, "Labels must be 0"),
        (lambda s: {"labels": s.labels + 1}, "Labels must be 0…1"),
        (lambda s: {"labels": s.labels * 1.0}, "class id for each"),
        (lambda s: {"scores": s.logits[:-1]}, "Expected scores of 1600 images"),
        (lambda s: {"scores": spoilt(s.logits, 4, np.nan)}, "row 4"),
        (lambda s: {"scores": s.logits[:, None, None]}, "Expected scores of 1600 images"),
        (lambda s: {"scores": s.labels - 1}, "Predicted classes must be 0…65535; got -1"),
        (lambda s: {"scores": s.labels * 10**9}, "Predicted classes must be"),
        (lambda s: {"labels": s.labels * 10**9, "scores": s.labels}, "Labels must be 0…65535"),
        (lambda s: {"features": [[1, 2], [3]] * 800}, "Features must be an array of numbers"),
        (lambda s: {"scores": [[1, 2], [3]] * 800}, "Scores must be an array of numbers"),
        (lambda s: {"class_names": ("a",)}, "Expected scores of 1 classes"),
        (lambda s: {"class_names": ("a", "a")}, "a name of its own"),
        (lambda s: {"columns": {"hat": ["x"]}}, "1600 values in column 'hat'"),
        (lambda s: {"columns": {"hat": "x" * 1600}}, "got text"),
        (lambda s: {"together": [["x"]]}, "number 0 of together"),
        (lambda s: {"together": [["x"] * 1600]}, "different images in each half"),
        (lambda s: {"flags": {"bad": [0] * 1600}}, "true or false"),
        (lambda s: {"features": np.zeros((1600, 4))}, "must differ between images"),
    ],
)
def test_what_is_not_as_expected_is_said(scene, change, message):
    with pytest.raises(InputError, match=message):
        broken(scene, **change(scene))()


def test_too_few_images_and_bad_options_are_said(scene):
    with pytest.raises(InputError, match="at least 50 images"):
        find(scene.features[:49], scene.labels[:49], scene.logits[:49])
    for bad in ({"fdr": 0.0}, {"fdr": 1.0}, {"most": 0}, {"seed": -1}):
        with pytest.raises(InputError):
            Options(**bad)


def test_at_most_so_many_are_shown(scene):
    found = find(scene.features, scene.labels, scene.logits, options=Options(most=1))
    assert len(found.slices) == 1
    assert set(found.ids) == {-1, 0}
