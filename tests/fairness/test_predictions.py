"""Tables of predictions: what they are taken to say, the numbers of it, and what is refused."""

import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness import PredictionColumns, Predictions, evaluate_classes, frame, one_vs_rest

NAMES = ("cat", "dog", "fox")


def table(seed=0, n=300):
    """Labels, probabilities a class, and groups of which some are not known."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 2 * np.eye(3)[ids]
    powers = np.exp(logits)
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).round(5)
    columns = {f"prob_{name}": probabilities[:, i] for i, name in enumerate(NAMES)}
    site = rng.choice(["north", "south", None], n, p=[0.6, 0.3, 0.1])
    return ids, logits, pd.DataFrame({"label": np.array(NAMES)[ids], "site": site, **columns})


def direct(ids, scores, site):
    groups = Groups.from_column(site, attribute="site")
    return evaluate_classes(np.asarray(scores), ids, groups, classes=NAMES)


def as_text(data):
    return pa.table(
        {name: pa.array(data[name].astype(object), from_pandas=True).cast(pa.string()) for name in data}
    )


@pytest.mark.parametrize(
    "kind",
    [
        lambda data: data,
        lambda data: pa.Table.from_pandas(data),
        as_text,
        lambda data: {name: data[name].tolist() for name in data},
        lambda data: {name: data[name].to_numpy() for name in data},
        lambda data: data.astype({"label": "category", "site": "category"}),
        lambda data: data.sample(frac=1, random_state=0),
    ],
)
def test_a_column_a_class_in_any_table_gives_the_numbers_of_the_arrays(kind):
    ids, _, data = table()
    found = frame(kind(data), groups="site")
    expected = direct(ids, data[[f"prob_{name}" for name in NAMES]], data["site"])
    assert found.classes == expected
    assert found.detection is None
    assert found.notes == (
        "Labels from column 'label'",
        "The model's probabilities from 'prob_cat', 'prob_dog', 'prob_fox'",
    )


def test_the_positive_class_has_detection_numbers():
    ids, _, data = table()
    found = frame(data, groups=["site"], positive="dog", fpr=0.1).detection
    scores = data[[f"prob_{name}" for name in NAMES]].to_numpy()
    groups = Groups.from_column(data["site"], attribute="site")
    assert repr(asdict(found)) == repr(
        asdict(one_vs_rest(scores, ids, groups, positive="dog", classes=NAMES, fpr=0.1))
    )
    assert found.positives == (ids == 1).sum()


def test_logits_are_taken_where_they_are_said_to_be_logits():
    ids, logits, data = table()
    data[[f"prob_{name}" for name in NAMES]] = 40 * logits
    with pytest.raises(InputError, match=r"in \[0, 1\]; got .* \(300 of 300 rows .* logits, say so"):
        frame(data)
    found = frame(data, groups="site", logits=True, positive="fox")
    assert found.classes == direct(ids, logits, data["site"])
    assert found.detection.logit_at_fpr is not None
    assert found.detection.saturated == 0


def test_probabilities_that_do_not_sum_to_one_are_refused():
    _, _, data = table()
    data.loc[7:9, "prob_dog"] = 0.9
    data.loc[7:9, "prob_cat"] = 0.8
    with pytest.raises(InputError, match=r"sum to 1 in every row; they sum to .* in row 7 \(3 of 300 rows\)"):
        frame(data)


def test_rounded_probabilities_pass():
    _, _, data = table()
    for name in NAMES:
        data[f"prob_{name}"] = data[f"prob_{name}"].round(2)
    assert frame(data).classes.n == 300


@pytest.mark.parametrize(
    "written", ["{}", "p({})", "{}_score", "model.{}.prob"], ids=["plain", "both", "after", "long"]
)
def test_columns_a_class_are_found_as_they_are_called(written):
    _, _, data = table()
    renamed = data.rename(columns={f"prob_{name}": written.format(name) for name in NAMES})
    assert frame(renamed, groups="site").classes == frame(data, groups="site").classes
    listed = [written.format(name) for name in NAMES]
    assert frame(renamed, groups="site", probabilities=listed).classes.classes == NAMES
    told = dict(zip(NAMES, listed, strict=True))
    assert frame(renamed, probabilities=told).classes.accuracy == frame(data).classes.accuracy


def test_a_class_without_rows_has_its_column():
    _, _, data = table()
    data = data[data["label"] != "fox"]
    with pytest.warns(UndefinedRateWarning, match="fox"):
        found = frame(data).classes
    assert found.classes == NAMES
    assert found.recall["fox"].reason == "no images"


def test_numbered_classes_stand_in_numeric_order():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 12
    columns = {str(k): v for k, v in enumerate(rng.dirichlet(np.ones(12), 24).T)}
    found = frame({"label": labels, **columns}).classes
    assert found.classes == tuple(map(str, range(12)))
    frame_of_numbers = pd.DataFrame(np.stack(list(columns.values()), axis=1)).assign(label=labels)
    assert frame(frame_of_numbers).classes == found


def test_a_score_is_about_the_positive_class():
    rng = np.random.default_rng(1)
    labels = np.arange(100) % 2
    scores = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    found = frame({"label": labels, "score": scores}, threshold=0.6)
    assert found.detection.tpr.value == np.mean(scores[labels == 1] >= 0.6)
    assert found.classes.recall["1"] == found.detection.tpr
    assert found.classes.recall["0"].value == pytest.approx(1 - found.detection.fpr.value)
    named = {"label": np.array(["face", "other"])[1 - labels], "score": scores}
    assert frame(named, threshold=0.6).classes.recall["face"] == found.detection.tpr
    assert frame(named).classes.classes == ("other", "face")
    with pytest.raises(InputError, match="which class the score in column 'score' is about"):
        frame({"label": np.array(["a", "b"])[labels], "score": scores})
    turned = frame({"label": np.array(["b", "a"])[labels], "score": scores}, positive="a", threshold=0.6)
    assert turned.detection.tpr == found.detection.tpr


def test_a_score_of_one_of_many_classes_takes_the_others_together():
    _, _, data = table()
    found = frame(data, score="prob_dog", positive="dog", groups="site")
    assert found.classes.classes == ("not dog", "dog")
    assert "All classes but dog are taken together" in found.notes
    assert found.detection.positives == (data["label"] == "dog").sum()


def test_logits_of_a_score_decide_at_0():
    logits = np.array([-50.0, 40.0, 60.0, -1e-17])
    found = frame({"label": [0, 1, 1, 0], "score": logits}, logits=True)
    assert found.classes.accuracy.value == 1.0
    assert found.detection.auroc.value == 1.0


def test_only_positives_have_a_recall_and_no_matched_rate():
    with pytest.warns(UndefinedRateWarning):
        found = frame({"label": [1, 1, 1], "score": [0.9, 0.2, 0.7], "skin": ["a", "a", "b"]}, groups="skin")
    assert found.detection.tpr.value == pytest.approx(2 / 3)
    assert not found.detection.tpr_at_fpr.defined
    assert found.classes.classes == ("not 1", "1")


@pytest.mark.filterwarnings("ignore::equipoise.errors.UndefinedRateWarning")
def test_predicted_classes():
    labels = ["cat", "dog", "fox", "fox", "dog"]
    found = frame(
        {"y_true": labels, "y_pred": ["cat", "dog", "cat", "fox", "owl"], "site": list("ababa")},
        groups="site",
    )
    assert found.classes.classes == ("cat", "dog", "fox", "owl")
    assert found.classes.accuracy.value == 0.6
    assert found.classes.confusion["dog"]["taken_for"] == {"owl": 1}
    assert found.detection is None
    assert "Predicted in 1 rows, and no label: 'owl'" in found.notes


def test_whole_floats_are_the_classes_of_whole_numbers():
    data = pd.DataFrame({"label": [0, 1, 2], "prediction": [0.0, 1.0, 1.0]})
    assert frame(data).classes.accuracy.value == pytest.approx(2 / 3)


def test_the_label_itself_is_a_group():
    _, _, data = table()
    data = data.rename(columns={"label": "animal"})
    found = frame(data, label="animal", groups=["label", "site"])
    assert set(found.classes.groups["label"]) == set(NAMES)
    assert found.classes.groups["label"]["dog"].accuracy == found.classes.recall["dog"]


def test_more_than_one_thing_that_the_model_says_is_said():
    _, _, data = table()
    data["prediction"] = "cat"
    assert "Not used: prediction" in frame(data).notes
    assert frame(data, prediction="prediction").classes.recall["cat"].value == 1.0


def test_given_classes_are_all_classes():
    _, _, data = table()
    columns = [f"prob_{name}" for name in NAMES]
    assert frame(data, classes=["fox", "dog", "cat"], probabilities=columns).classes.classes == (
        "fox",
        "dog",
        "cat",
    )
    with pytest.raises(
        InputError, match=r"label in column 'label' to be one of 'cat', 'dog'; got 'fox' in row"
    ):
        frame(data, classes=["cat", "dog"])
    with pytest.raises(InputError, match="a column of probabilities for each class"):
        frame(data, classes=[*NAMES, "owl"], probabilities=columns)


BAD = {
    "no label": (
        {"label": ["a", None, "b"], "prediction": list("aab")},
        {},
        "a label in every row; got none in row 1",
    ),
    "label said to be missing": (
        {"label": ["a", "NaN", "b"], "prediction": list("aab")},
        {},
        "row 1 of column 'label'",
    ),
    "no prediction": (
        {"label": list("aab"), "prediction": ["a", "b", ""]},
        {},
        "a predicted class .* row 2 .*1 of 3",
    ),
    "no score": (
        {"label": [0, 1, 1], "score": [0.1, np.nan, 0.2]},
        {},
        "a score in every row; got none in row 1",
    ),
    "blank score": (
        {"label": list("011"), "score": ["0.1", " ", "0.2"]},
        {},
        "a score in every row; got none in row 1",
    ),
    "score in words": (
        {"label": [0, 1], "score": ["0.1", "high"]},
        {},
        "numbers in column 'score'.* 'high' in row 1",
    ),
    "percent": ({"label": [0, 1], "score": [10, 90]}, {}, r"in \[0, 1\]; got 10 in row 0"),
    "infinite logit": ({"label": [0, 1], "score": [1, np.inf]}, {"logits": True}, "finite"),
    "case": (
        {"label": ["Cat", "dog"], "prediction": ["cat", "dog"]},
        {},
        "'Cat' and 'cat' .* one class or two",
    ),
    "1 and 01": ({"label": ["1", "2"], "prediction": ["01", "2"]}, {}, "'01' and '1'"),
    "other words": (
        {"label": ["cat", "dog"], "prediction": [0, 1]},
        {},
        "predicted classes as labels are written",
    ),
    "nothing of the model": ({"label": ["a", "b"], "x": [1, 2]}, {}, "the table has 'label', 'x'"),
    "no label column": ({"animal": ["a", "b"], "prediction": ["a", "b"]}, {}, "one column of labels"),
    "two label columns": ({"label": [0], "target": [0], "score": [0]}, {}, "'label', 'target'"),
    "two of three": (
        {"label": [0, 1], "a": [0, 1], "b": [0, 1]},
        {"score": "a", "prediction": "b"},
        "one of score",
    ),
    "another group": (
        {"label": [0, 1], "score": [0, 1]},
        {"groups": "site"},
        "groups in column 'site'; the table has",
    ),
    "another score": ({"label": [0, 1], "a": [0, 1]}, {"score": "b"}, "score in column 'b'"),
    "lengths": (
        {"label": [0, 1], "score": [0, 1, 1]},
        {},
        "as many rows each; got 2 in 'label' and 3 in 'score'",
    ),
    "no rows": ({"label": [], "score": []}, {}, "at least one row"),
    "one class": ({"label": ["a", "a"], "prediction": ["a", "a"]}, {}, "at least two classes"),
    "another positive": (
        {"label": ["a", "b"], "score": [0, 1]},
        {"positive": "c"},
        "one of 'a', 'b'; got 'c'",
    ),
    "logits of calls": (
        {"label": ["a", "b"], "prediction": ["a", "b"]},
        {"logits": True},
        "got predicted classes",
    ),
    "nested": ({"label": [[1], [2]], "prediction": [1, 2]}, {}, "texts or numbers in column 'label'"),
    "no table": ([1, 2], {}, "a table with named columns; got list"),
    "two sets": (
        {"label": ["a", "b"], "p_a": [1, 0], "p_b": [0, 1], "q_a": [1, 0], "q_b": [0, 1]},
        {},
        "several, such as 'p_a' and 'q_a'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_right_is_refused(case):
    data, options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        frame(data, **options)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match="different names"):
        frame(pd.DataFrame([[0, 1, 1]], columns=["label", "score", "score"]))


def test_markup_and_odd_values_are_names_like_any_other():
    data = {
        "label": ["<b>", "a × b", "<b>"],
        "prediction": ["<b>", "a × b", "a × b"],
        "site": ["(missing)", None, ""],
    }
    found = frame(data, groups="site").classes
    assert found.confusion == {"<b>": {"taken_for": {"a × b": 1}, "other": 0}}
    assert set(found.groups["site"]) == {'"(missing)"', "(missing)", ""}
    assert found.not_compared["site"] == ("(missing)",)


def test_a_thousand_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 3000)
    logits = rng.normal(size=(3000, 1000)) + 4 * np.eye(1000)[labels]
    names = [f"class {i}" for i in range(1000)]
    data = {"label": np.array(names)[labels], **dict(zip(names, logits.T, strict=True))}
    found = Predictions.of(data, PredictionColumns(probabilities=names), logits=True)
    assert (found.predicted == found.labels).mean() == (logits.argmax(axis=1) == labels).mean()
    assert len(found.classes) == 1000


def test_torch_is_not_imported_and_pandas_not_needed():
    code = """
import sys
class NoPandas:
    def find_spec(self, name, *_):
        if name == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, NoPandas())
from equipoise import fairness
fairness.frame({"label": [0, 1], "score": [0.1, 0.9], "site": ["a", "b"]}, groups=["site"])
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_torch_columns():
    import torch

    found = frame({"label": torch.tensor([0, 1, 1]), "score": torch.tensor([0.1, 0.9, 0.3])})
    assert found.classes.accuracy.value == pytest.approx(2 / 3)


def test_detection_is_that_of_evaluate():
    rng = np.random.default_rng(2)
    labels = (rng.random(200) < 0.4).astype(int)
    scores = np.clip(rng.normal(0.3 + 0.3 * labels, 0.2), 0, 1).astype(np.float32)
    race = rng.choice(["a", "b"], 200)
    found = frame({"label": labels, "score": scores, "race": race}, groups=["race"], fpr=0.05).detection
    expected = fairness.evaluate(scores, labels, Groups.from_column(race, attribute="race"), fpr=0.05)
    assert repr(asdict(found)) == repr(asdict(expected))
