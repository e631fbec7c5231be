"""Tables of predictions get the numbers and the report of a run, without pictures and without torch."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise import fairness, run
from equipoise.cli import main
from equipoise.errors import DataError, InputError
from equipoise.groups import Groups
from equipoise.run.predictions import names_of

CLASSES = ("ant", "<b>bee</b>", "cow")


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    logits = rng.normal(size=(400, 3)) + 2 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, probabilities, rng.choice(["north", "south"], 400)


def columns(labels, probabilities, site):
    named = {name: probabilities[:, i] for i, name in enumerate(CLASSES)}
    return {"label": [CLASSES[i] for i in labels], "site": site.tolist(), **named}


def csv(path, content):
    pyarrow.csv.write_csv(pa.table(content), path)
    return path


def evaluated(path, out, *paths, **options):
    tables = run.PredictionTables([path, *paths], **options)
    return run.evaluate_predictions(
        tables, measuring=run.Measuring(groups=["site"], replicates=100), output=run.Output(out)
    )


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_numbers_are_those_of_fairness_whatever_the_file(scene, tmp_path, ending):
    labels, probabilities, site = scene
    path, content = tmp_path / f"mine.{ending}", pa.table(columns(*scene))
    if ending == "parquet":
        pq.write_table(content, path)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="," if ending == "csv" else "\t")
        pyarrow.csv.write_csv(content, path, options)
    record = evaluated(path, tmp_path / "out", positive_class="cow")
    groups = [Groups.from_column(site, attribute="site")]
    names = ("<b>bee</b>", "ant", "cow")  # in the order of the alphabet
    place = np.array([names.index(name) for name in CLASSES])
    scores = np.empty_like(probabilities)
    scores[:, place] = probabilities
    expected = fairness.evaluate_classes(scores, place[labels], groups, classes=names)
    assert repr(asdict(record.models["mine"].classes)) == repr(asdict(expected))
    detected = fairness.evaluate(scores[:, 2], labels == 2, groups, replicates=100)
    assert record.models["mine"].numbers.tpr == detected.tpr
    assert record.models["mine"].numbers.groups == detected.groups
    assert record.positive == "cow"
    assert record.data.counts == {"test": dict(zip(names, np.bincount(place[labels]).tolist(), strict=True))}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;bee&lt;/b&gt;" in page
    assert "<b>bee" not in page


def test_predicted_classes_alone_tell_no_thresholds(scene, tmp_path):
    labels, probabilities, site = scene
    called = [CLASSES[i] for i in probabilities.argmax(1)]
    content = {"label": [CLASSES[i] for i in labels], "predicted": called, "site": site.tolist()}
    record = evaluated(csv(tmp_path / "a.csv", content), tmp_path / "out")
    assert record.models["a"].numbers is None
    assert record.models["a"].classes.accuracy.value == np.mean(probabilities.argmax(1) == labels)
    two = {"label": ["yes", "no"] * 40, "predicted": ["yes", "yes"] * 40, "site": ["n", "s"] * 40}
    record = evaluated(csv(tmp_path / "b.csv", two), tmp_path / "two")
    assert record.models["b"].numbers is None
    assert record.models["b"].classes.recall["no"].value == 0
    assert "Classes and groups" in (tmp_path / "two" / "report.html").read_text()


def test_a_score_of_two_classes_is_a_detection(tmp_path):
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 2
    scores = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1)))
    content = {"label": labels, "score": scores, "site": rng.choice(["n", "s"], 400).tolist()}
    record = evaluated(csv(tmp_path / "a.csv", content), tmp_path / "out")
    groups = [Groups.from_column(content["site"], attribute="site")]
    expected = fairness.evaluate(scores, labels, groups, replicates=100)
    assert record.models["a"].numbers.tpr_at_fpr == expected.tpr_at_fpr
    assert record.models["a"].numbers.auroc == expected.auroc
    assert record.positive is None


def test_two_tables_are_compared_in_pairs(scene, tmp_path):
    labels, probabilities, site = scene
    worse = np.roll(probabilities, 1, axis=1)
    worse[:200] = probabilities[:200]
    paths = [
        csv(tmp_path / name / "scores.csv", columns(labels, scores, site))
        for name, scores in (("first", probabilities), ("second", worse))
        if not (tmp_path / name).mkdir()
    ]
    record = evaluated(*paths[:1], tmp_path / "out", *paths[1:])
    assert list(record.models) == ["first/scores", "second/scores"]
    assert record.class_comparisons.baseline == "first/scores"
    right = [(scores.argmax(1) == labels).mean() for scores in (probabilities, worse)]
    change = record.class_comparisons.differences["second/scores"].accuracy
    assert change.value == pytest.approx(right[1] - right[0])
    assert change.high < 0


@pytest.mark.slow
def test_a_class_that_one_model_alone_calls_is_a_class_of_all(scene, tmp_path):
    labels, _, site = scene
    base = {"label": [CLASSES[i] for i in labels], "site": site.tolist()}
    called = ["ant"] * 399 + ["dog"]
    paths = [
        csv(tmp_path / f"{name}.csv", {**base, "predicted": told})
        for name, told in (("a", base["label"]), ("b", called))
    ]
    record = evaluated(*paths[:1], tmp_path / "out", *paths[1:])
    assert record.models["a"].classes.classes == record.models["b"].classes.classes
    assert "dog" in record.models["a"].classes.recall


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: {name: values[:-1] for name, values in c.items()}, "Expected 400 rows"),
        (lambda c: {**c, "label": c["label"][::-1]}, "Expected the labels of the first table"),
        (lambda c: {**c, "site": c["site"][::-1]}, "Expected the values of 'site' of the first table"),
    ],
)
def test_tables_of_other_images_are_refused(scene, tmp_path, change, words):
    content = {name: list(values) for name, values in columns(*scene).items()}
    paths = csv(tmp_path / "a.csv", content), csv(tmp_path / "b.csv", change(content))
    with pytest.raises(InputError, match=words):
        evaluated(paths[0], tmp_path / "out", paths[1])


def test_what_is_no_table_of_predictions_is_refused(scene, tmp_path):
    with pytest.raises(DataError, match="got nothing"):
        evaluated(tmp_path / "none.csv", tmp_path / "out")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"ending in \.csv"):
        evaluated(tmp_path / "a.xlsx", tmp_path / "out")
    (tmp_path / "empty.csv").write_text("label,score\n")
    with pytest.raises(DataError, match="got no row"):
        evaluated(tmp_path / "empty.csv", tmp_path / "out")
    wrong = columns(*scene)
    wrong["ant"] = np.array(wrong["ant"]) + 1
    with pytest.raises(InputError, match=r"wrong\.csv: "):
        evaluated(csv(tmp_path / "wrong.csv", wrong), tmp_path / "out")
    with pytest.raises(InputError, match="at least one table"):
        run.evaluate_predictions(run.PredictionTables([]), output=run.Output(tmp_path / "out"))
    with pytest.raises(InputError, match="no `windows`"):
        run.evaluate_predictions(
            run.PredictionTables([tmp_path / "wrong.csv"]), measuring=run.Measuring(windows=True)
        )
    assert not (tmp_path / "out" / "record.json").exists()


def test_models_are_told_apart_by_their_files():
    assert names_of(["a/x.csv", "b/y.parquet"]) == ["x", "y"]
    assert names_of(["a/x.csv", "b/x.csv"]) == ["a/x", "b/x"]
    with pytest.raises(InputError, match="different models"):
        names_of(["a/x.csv", "a/x.csv"])


@pytest.mark.slow
def test_the_command_loads_no_torch(scene, tmp_path):
    path = csv(tmp_path / "mine.csv", columns(*scene))
    code = (
        "import sys; from equipoise.cli import main\n"
        f"code = main(['evaluate', '--predictions', {str(path)!r}, '--groups', 'site,label', '--quiet', '--out', "
        f"{str(tmp_path / 'out')!r}])\n"
        "print('torch' in sys.modules, code)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "False 0"
    assert "Worst-group accuracy by site" in said
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["settings"]["groups"] == ["site", "label"]
    assert main(["report", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "Expected models, or tables of --predictions; got neither"),
        (["runs/mine", "--predictions", "a.csv"], "got both"),
        (["--predictions", "b.csv"], "Say which it is (--label-column)"),
        (["--predictions", "c.csv"], "Say which it is (--score-column, --predicted-column)"),
        (["--predictions", "a.csv", "--data", "x"], "no --data for tables of predictions"),
        (["--predictions", "a.csv", "--image-size", "32"], "no --image-size for tables of predictions"),
        (["runs/mine", "--logits", "--data", "x"], "no --logits for models"),
        (["runs/mine", "--score-column", "s", "--data", "x"], "no --score-column for models"),
    ],
)
def test_flags_that_do_not_go_together_end_with_2(flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.csv").write_text("kind,score\nant,0.5\n")
    (tmp_path / "c.csv").write_text("label,sure\nant,0.5\nbee,0.1\n")
    assert main(["evaluate", *flags]) == 2
    assert words in capsys.readouterr().err
