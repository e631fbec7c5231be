"""`sweep` against the records of its own runs, which are run here in this process."""

import csv
import io
import json
import statistics

import pytest

from equipoise.cli import main
from equipoise.run import sweep
from equipoise.run.sweep.point import run_point

pytestmark = pytest.mark.slow

VALUES, SEEDS = ("0.4", "1"), (0, 1)


@pytest.fixture(scope="module")
def swept(people, tmp_path_factory):
    def run_all(work, *, ended, **_):
        for name, settings in work.items():
            run_point(json.loads(json.dumps(settings)))
            ended(name, None)
        return {}

    out = tmp_path_factory.mktemp("sweep") / "out"
    flags = [f"--{name}={path}" for name, path in people.items()]
    flags += ["--image-size=16", "--batch-size=16", "--tune=width=4", "--tune=depth=2", "--replicates=100"]
    flags += ["--epochs=1", "--groups=shade,hat", "--fpr=0.05", "--device=cpu", "--quiet"]
    flags += ["--vary=resampling.ess=0.4,1", "--vary=seed=0,1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sweep.__globals__, "run_all", run_all)
        assert main(["sweep", *flags, f"--out={out}"]) == 0
    return out


@pytest.fixture(scope="module")
def found(swept, recorded):
    return recorded(swept, "sweep.json")


@pytest.fixture(scope="module")
def runs(swept, found, recorded):
    """Value and seed → the record of that run itself."""
    return {
        (run["values"]["resampling.ess"], run["seed"]): recorded(swept / run["folder"])
        for run in found["runs"]
    }


def test_every_run_has_the_settings_that_its_row_says(found, runs):
    assert list(runs) == [(value, seed) for value in VALUES for seed in SEEDS]
    for (value, seed), record in runs.items():
        assert record["recipe"]["resampling"]["ess"] == float(value)
        assert record["seed"] == seed
        assert record["fpr"] == 0.05
        assert record["models"]["plain"]["steps"] == (80 + 88) // 16
        assert record["data"]["counts"]["test"] == {"positives": 31, "negatives": 52}


def test_a_row_holds_the_numbers_of_its_own_run(found, runs):
    differ = set()
    for run in found["runs"]:
        record = runs[run["values"]["resampling.ess"], run["seed"]]
        assert run["error"] is None
        assert list(run["models"]) == list(record["models"])
        for name, model in run["models"].items():
            whole = record["models"][name]
            assert model["miss"]["value"] == pytest.approx(1 - whole["tpr_at_fpr"]["value"])
            assert model["accuracy"]["value"] == whole["accuracy"]["value"]
            for attribute in ("shade", "hat"):
                groups = {g: one["tpr_at_fpr"]["value"] for g, one in whole["groups"][attribute].items()}
                assert model["worst_miss"][attribute]["value"] == pytest.approx(1 - min(groups.values()))
                assert groups[model["worst_group"][attribute]] == min(groups.values())
                assert (
                    model["variance"][attribute]["value"] == whole["variance"][attribute]["at_fpr"]["value"]
                )
        differ.add(run["models"]["debiased"]["miss"]["value"])
        assert run["sampling"]["ess"]["value"] == record["resampling"]["ess"]
    assert len(differ) > 1


def test_a_point_is_the_mean_over_seeds(found, runs):
    for point in found["points"]:
        value = point["values"]["resampling.ess"]
        assert point["seeds"] == list(SEEDS)
        for name, model in point["models"].items():
            each = [runs[value, seed]["models"][name] for seed in SEEDS]
            missed = statistics.fmean(1 - one["tpr_at_fpr"]["value"] for one in each)
            assert model["miss"]["value"] == pytest.approx(missed)
            assert model["miss"]["n"] == 2
            accuracy = statistics.fmean(one["accuracy"]["value"] for one in each)
            assert model["accuracy"]["value"] == pytest.approx(accuracy)


def test_the_rarest_group_is_drawn_more_often_where_the_sample_is_smaller(found):
    assert found["rarest"] == {"shade": "dark", "hat": "yes"}
    low, high = (point["sampling"] for point in found["points"])
    assert low["meant"]["ess"]["value"] == pytest.approx(0.4, abs=0.01)
    assert low["ess"]["value"] < high["ess"]["value"] == pytest.approx(1)
    assert low["natural_share"]["shade"]["dark"] == pytest.approx(9 / 80)
    assert low["enrichment"]["shade"]["dark"]["value"] > high["enrichment"]["shade"]["dark"]["value"]
    assert high["enrichment"]["shade"]["dark"]["value"] == pytest.approx(1)


def test_the_table_holds_what_the_record_holds(swept, found):
    rows = list(csv.DictReader(io.StringIO((swept / "sweep.csv").read_text())))
    assert len(rows) == 4
    for row, run in zip(rows, found["runs"], strict=True):
        assert row["resampling.ess"] == run["values"]["resampling.ess"]
        assert int(row["seed"]) == run["seed"]
        for name, model in run["models"].items():
            assert float(row[f"{name}: missed"]) == model["miss"]["value"]
            assert float(row[f"{name}: accuracy"]) == model["accuracy"]["value"]
            for attribute in ("shade", "hat"):
                assert row[f"{name}: worst group by {attribute}"] == model["worst_group"][attribute]
                worst = float(row[f"{name}: worst group missed by {attribute}"])
                assert worst == model["worst_miss"][attribute]["value"]
        sampling = run["sampling"]
        assert float(row["ess"]) == sampling["ess"]["value"]
        enriched = sampling["enrichment"]["shade"]["dark"]["value"]
        assert float(row["enrichment of shade=dark"]) == enriched
