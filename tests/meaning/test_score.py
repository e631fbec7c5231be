"""`score` and `evaluate` of a saved model, against what the run that trained it wrote down."""

import numpy as np
import pytest

from equipoise.cli import main


@pytest.fixture(scope="module")
def scored(debiased, people, scores, tmp_path_factory):
    """The training positives, as the debiased model sees them."""
    out = tmp_path_factory.mktemp("score") / "scores.parquet"
    assert main(["score", str(debiased), people["positives"], "--quiet", f"--out={out}"]) == 0
    return scores(out)


def test_a_row_is_of_its_own_picture(scored):
    assert [path.split("/")[-1] for path in scored["path"]] == [f"{i}.png" for i in range(80)]
    assert (scored["shade"] == "dark").tolist() == [i < 9 for i in range(80)]
    assert (scored["hat"] == "yes").sum() == 5


def test_what_is_common_in_training_has_the_higher_log_density(scored):
    density = scored["log_density"]
    assert density.argmin() == 79  # the ring, unlike all others
    assert np.median(density[:9]) < np.median(density[9:79])  # nine are dark


def test_the_log_density_of_a_picture_is_that_of_the_run(debiased, people, scores, tmp_path):
    columns = scores(debiased)
    out = tmp_path / "again.parquet"
    sources = [f"--{name}={people[f'test-{name}']}" for name in ("positives", "negatives")]
    assert main(["score", str(debiased), *sources, "--quiet", f"--out={out}"]) == 0
    again = scores(out)
    assert (again["path"] == columns["path"]).all()
    assert (again["label"] == columns["label"]).all()
    np.testing.assert_allclose(again["log_density"], columns["log_density"], atol=1e-4)
    np.testing.assert_allclose(again["logit"], columns["logit_debiased"], atol=1e-5)


@pytest.mark.slow
def test_evaluation_gives_the_numbers_of_the_run(debiased, people, recorded, scores, tmp_path):
    sources = [f"--{name}={people[f'test-{name}']}" for name in ("positives", "negatives")]
    folders = [str(debiased / "models" / "plain"), str(debiased)]
    flags = ["--groups=shade,hat", "--fpr=0.05", "--replicates=100", "--quiet"]
    assert main(["evaluate", *folders, *sources, *flags, f"--out={tmp_path / 'out'}"]) == 0
    first, again = recorded(debiased), recorded(tmp_path / "out")
    assert list(again["models"]) == ["plain", "debiased", "threshold-only"]
    for name, model in again["models"].items():
        for key in ("tpr", "fpr", "tpr_at_fpr", "accuracy", "auroc"):
            assert model[key]["value"] == pytest.approx(first["models"][name][key]["value"])
        assert model["worst_group"].keys() == first["models"][name]["worst_group"].keys()
        for group in ("dark", "light"):
            assert model["groups"]["shade"][group]["positives"] == {"dark": 7, "light": 24}[group]
    change = again["comparisons"]["debiased"]
    assert change["baseline"] == "plain"
    assert change["accuracy"]["value"] == pytest.approx(first["comparisons"]["debiased"]["accuracy"]["value"])


def test_the_positive_class_is_the_one_that_was_named(debiased, writes, recorded, tmp_path):
    """The same pictures with labels in words: named the other way round, the same model is right where it was wrong."""
    images = [np.full((16, 16, 3), value, np.uint8) for value in np.linspace(30, 220, 20)]
    kinds = ["face"] * 7 + ["other"] * 13
    path = writes(tmp_path / "named", images, kind=kinds)
    found = {}
    for positive in ("face", "other"):
        out = tmp_path / positive
        flags = ["--label-column=kind", f"--positive-class={positive}", "--replicates=100", "--quiet"]
        assert main(["evaluate", str(debiased), f"--data={path}", *flags, f"--out={out}"]) == 0
        found[positive] = recorded(out)
    assert found["face"]["data"]["counts"]["test"] == {"positives": 7, "negatives": 13}
    assert found["other"]["data"]["counts"]["test"] == {"positives": 13, "negatives": 7}
    first, second = (found[name]["models"]["debiased"] for name in found)
    assert first["auroc"]["value"] == pytest.approx(1 - second["auroc"]["value"])
    assert first["accuracy"]["value"] == pytest.approx(1 - second["accuracy"]["value"])
