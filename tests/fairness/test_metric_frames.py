import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, count, selection_rate, true_positive_rate
from sklearn.metrics import accuracy_score, recall_score

from equipoise import Groups
from equipoise.errors import InputError
from equipoise.fairness import evaluate, evaluate_classes, from_metric_frame, metric_frame
from equipoise.intervals import proportion


def scene(seed=0, n=300, k=3):
    rng = np.random.default_rng(seed)
    labels, site = rng.integers(0, k, n), rng.choice(["a", "b", "c"], n)
    calls = np.where(rng.random(n) < 0.7, labels, rng.integers(0, k, n))
    return labels, calls, site


def test_export_is_fairlearns_own_frame():
    labels, calls, site = scene()
    found = metric_frame(
        evaluate_classes(calls, labels, Groups.from_column(site, attribute="site"), classes=["x", "y", "z"]),
        "site",
    )
    theirs = MetricFrame(
        metrics={
            "count": count,
            "accuracy": accuracy_score,
            "recall y": lambda t, p: recall_score(t == 1, p == 1),
        },
        y_true=labels,
        y_pred=calls,
        sensitive_features=pd.Series(site, name="site"),
    )
    ours = found.by_group[list(theirs.by_group.columns)]
    pd.testing.assert_frame_equal(ours, theirs.by_group, check_dtype=False)
    pd.testing.assert_series_equal(found.overall[theirs.overall.index], theirs.overall, check_dtype=False)
    for name, expected in (
        ("difference", theirs.difference()),
        ("ratio", theirs.ratio()),
        ("group_min", theirs.group_min()),
        ("group_max", theirs.group_max()),
    ):
        pd.testing.assert_series_equal(
            getattr(found, name)[expected.index], expected, check_dtype=False, obj=name
        )


def test_groups_that_are_not_compared_stand_only_by_group():
    groups = Groups.from_column(["a", "a", "b", None], attribute="site")
    found = metric_frame(evaluate_classes([0, 1, 1, 1], [0, 0, 1, 0], groups, classes=["x", "y"]), "site")
    assert found.by_group.loc["(missing)", "accuracy"] == 0
    assert found.group_min["accuracy"] == 0.5
    assert np.isnan(found.by_group.loc["b", "recall x"])  # fairlearn answers 0 there


def test_detection_numbers_are_exported_too():
    labels = np.arange(200) % 2
    scores = np.clip(np.random.default_rng(0).normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    site = np.where(np.arange(200) < 120, "a", "b")
    found = metric_frame(
        evaluate(scores, labels, Groups.from_column(site, attribute="site"), replicates=100), "site"
    )
    theirs = MetricFrame(
        metrics={"tpr": true_positive_rate},
        y_true=labels,
        y_pred=(scores >= 0.5).astype(int),
        sensitive_features=site,
    )
    assert found.by_group["tpr"].to_dict() == pytest.approx(theirs.by_group["tpr"].to_dict())
    assert found.difference["tpr"] == pytest.approx(theirs.difference()["tpr"])


def test_without_pandas_mappings_are_given(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    groups = Groups.from_column(["a", "b"], attribute="site")
    found = metric_frame(evaluate_classes([0, 1], [0, 1], groups, classes=["x", "y"]), "site")
    assert found.by_group["a"]["accuracy"] == found.overall["accuracy"] == 1
    assert found.difference == {"count": 0.0, "accuracy": 0.0, "recall x": 0.0, "recall y": 0.0}


def test_import_gives_the_intervals_of_the_counts():
    labels, calls, site = scene()
    theirs = MetricFrame(
        metrics={"n": count, "accuracy": accuracy_score, "chosen": selection_rate},
        y_true=labels == 1,
        y_pred=calls == 1,
        sensitive_features={"site": site, "half": np.arange(300) < 150},
    )
    found = from_metric_frame(theirs, count="n")
    assert set(found) == {"accuracy", "chosen"}
    mine = (site == "b") & (np.arange(300) < 150)
    assert found["chosen"]["b × True"] == proportion((calls == 1)[mine].sum(), mine.sum())
    assert from_metric_frame(theirs.by_group, count="n") == found


def test_import_without_counts_is_refused():
    theirs = MetricFrame(
        metrics={"accuracy": accuracy_score},
        y_true=[1, 0, 1],
        y_pred=[1, 1, 1],
        sensitive_features=["a", "b", "b"],
    )
    with pytest.raises(InputError, match=r"nothing is known about doubt. Add `fairlearn.metrics.count`"):
        from_metric_frame(theirs)


def test_what_is_no_share_of_the_rows_is_refused():
    table = pd.DataFrame({"count": [10, 7], "tpr": [2 / 3, 1.0]}, index=["a", "b"])
    with pytest.raises(InputError, match=r"'tpr' to be a share .* of 10 rows in 'a'"):
        from_metric_frame(table)
    with pytest.raises(InputError, match=r"number of rows of each group; got 0.5"):
        from_metric_frame(pd.DataFrame({"count": [0.5], "accuracy": [1.0]}, index=["a"]))


def test_a_group_without_rows_is_undefined():
    table = pd.DataFrame({"count": [10, np.nan], "accuracy": [0.5, np.nan]}, index=["a", "b"])
    assert from_metric_frame(table)["accuracy"]["b"].reason == "no images"


def test_another_attribute_is_refused():
    with pytest.raises(InputError, match="evaluated, one of \\[\\]; got 'site'"):
        metric_frame(evaluate_classes([0, 1], [0, 1], classes=["x", "y"]), "site")
