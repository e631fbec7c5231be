import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import b1
import b4
import bench
import render
from equipoise.fairness import threshold_at_fpr
from lines import Lines

RACES = ["A"] * 200 + ["B"] * 100


def planted_scores(seed=0):
    """300 faces, of which race B scores lower, and 500 negatives."""
    rng = np.random.default_rng(seed)
    faces = np.r_[rng.normal(2, 1, 200), rng.normal(1, 1, 100)]
    return b1.probability(faces), b1.probability(rng.normal(-2, 1, 500))


def b1_line(method, seed, miss, **more):
    """A line of B1 with all that its table shows."""
    numbers = {
        "worst_race": "Black",
        "worst_miss": miss,
        "worst_miss_interval": [miss / 2, 2 * miss],
        "miss": miss / 2,
        "variance": miss**2 / 10,
        "miss_at_half": 0.3,
        "fpr_at_half": 1.0,
        "seconds": 60.0 + seed,
        "steps": 10,
        "peak_rss_bytes": 2**30,
    }
    setting = more.pop("setting", {})
    return {
        "case": "b1",
        "method": method,
        "seed": seed,
        "setting": setting,
        "numbers": numbers | more,
        "date": "2026-01-01",
        "command": "python benchmarks/b1.py --data DATA",
        "machine": {"processor": "P", "cores": 2, "threads": "all", "gpu": None},
        "versions": {"python": "3.11"},
    }


@pytest.fixture
def results(tmp_path):
    """Writes lines into a folder, a file a case, and gives what is rendered from them."""

    def written(*lines):
        (tmp_path / "lines").mkdir(exist_ok=True)
        for case in {"b1", *(line["case"] for line in lines)}:
            text = "".join(json.dumps(line) + "\n" for line in lines if line["case"] == case)
            (tmp_path / "lines" / f"{case}.jsonl").write_text(text)
        return render.Results.of(tmp_path / "lines")

    return written


# --- lines ---


def test_what_has_a_line_is_not_measured_again_and_what_failed_is_tried_again(tmp_path, capsys):
    lines, calls = Lines(tmp_path / "x.jsonl", "x", "python x.py"), []

    def measure():
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no luck")
        return {"value": float("nan"), "array": np.float64(2.0)}

    assert lines.run("m", 0, measure) is None
    assert "no luck" in capsys.readouterr().out
    assert [line["error"] for line in lines.read(failed=True)] == ["ValueError: no luck"]
    first = lines.run("m", 0, measure)
    assert lines.run("m", 0, measure)["numbers"] == {"value": None, "array": 2.0}
    assert first is not None
    assert len(calls) == 2
    assert lines.run("m", 0, measure, setting={"quick": True})["setting"] == {"quick": True}
    assert len(calls) == 3
    assert len(lines.read(failed=True)) == 2  # the failure is replaced, not kept beside


def test_a_line_cut_off_at_the_end_is_skipped(tmp_path):
    lines = Lines(tmp_path / "x.jsonl", "x", "python x.py")
    lines.run("m", 0, lambda: {"value": 1})
    with lines.path.open("a") as file:
        file.write('{"case": "x", "meth')
    assert len(lines.read()) == 1


# --- the bench ---


def fake_case(folder, name, body):
    (folder / f"{name}.py").write_text("import sys\nfrom pathlib import Path\n" + body)


def test_a_case_that_fails_does_not_stop_the_others_and_is_told(tmp_path, monkeypatch, capsys):
    written = json.dumps(b1_line("equipoise", 0, 0.5))
    fake_case(tmp_path, "b1", "raise SystemExit(3)\n")
    fake_case(
        tmp_path, "b4", f"Path(sys.argv[sys.argv.index('--lines') + 1]).write_text({written + chr(10)!r})\n"
    )
    data = tmp_path / "data"
    for name in ("fairface64/train", "fairface64/test", "tinyimagenet64/train", "tinyimagenet64/test"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / f"{name}.parquet").write_bytes(b"")
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setattr(render, "write", lambda lines, page, readme: None)
    (tmp_path / "lines").mkdir()
    page = tmp_path / "page.md"
    flags = ["--cases", "b1", "b2", "b4", "--lines", str(tmp_path / "lines"), "--page", str(page)]
    assert bench.main([*flags, "--data", str(data)]) == 1
    told = capsys.readouterr().out
    assert "b1: failed with exit status 3" in told
    assert "b2: left out: there is no such file" in told
    assert "b4: 1 lines" in told


def test_without_pictures_cases_that_need_them_are_left_out_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("EQUIPOISE_DATA", raising=False)
    monkeypatch.setattr(render, "write", lambda lines, page, readme: None)
    assert bench.main(["--cases", "b1", "b2", "--quick", "--lines", str(tmp_path), "--page", "x.md"]) == 0
    told = capsys.readouterr().out
    assert told.count("left out: it needs pictures") == 2


def test_a_quick_bench_writes_below_runs_only():
    options = bench.parsed(["--quick"])
    assert options.seeds == 1
    assert options.page.parts[:2] == options.lines.parts[:2] == ("runs", "bench-quick")


def test_failed_lines_make_the_bench_fail(tmp_path, monkeypatch):
    lines = Lines(tmp_path / "b4.jsonl", "b4", "")
    lines.run("rule", 1, lambda: 1 / 0)
    fake_case(tmp_path, "b4", "")
    case = next(case for case in bench.CASES if case.name == "b4")
    monkeypatch.setattr(bench, "HERE", tmp_path)
    told, failed = bench.outcome(case, bench.parsed(["--lines", str(tmp_path)]))
    assert failed
    assert "rule seed 1" in told


# --- B1's numbers ---


def test_numbers_of_b1_are_those_counted_by_hand():
    faces, negatives = planted_scores()
    found = b1.scored(faces, negatives, RACES)
    limit = threshold_at_fpr(negatives, 0.01)
    assert (negatives >= limit).sum() <= 5
    missed = {race: 100 * np.mean(faces[np.array(RACES) == race] < limit) for race in "AB"}
    assert found["worst_race"] == "B"
    assert found["worst_miss"] == pytest.approx(missed["B"])
    assert found["miss_by_race"] == pytest.approx(missed)
    assert found["miss"] == pytest.approx(100 * np.mean(faces < limit))
    assert found["variance"] == pytest.approx(np.var(list(missed.values())))
    assert found["miss_at_half"] == pytest.approx(100 * np.mean(faces < 0.5))
    assert found["fpr_at_half"] == pytest.approx(100 * np.mean(negatives >= 0.5))
    low, high = found["worst_miss_interval"]
    assert low < found["worst_miss"] < high


def test_test_faces_without_race_give_the_overall_miss_and_no_variance():
    faces, negatives = planted_scores()
    found = b1.scored(faces, negatives, None)
    assert found["worst_race"] == "all"
    assert found["worst_miss"] == found["miss"]
    assert found["variance"] is None


def test_a_monotone_change_of_the_logits_changes_nothing_at_the_matched_rate():
    faces, negatives = planted_scores()
    one = b1.scored(faces, negatives, RACES)
    other = b1.scored(faces**3, negatives**3, RACES)
    assert one["worst_miss"] == other["worst_miss"]
    assert one["miss_at_half"] != other["miss_at_half"]


def test_the_draw_keeps_to_the_protocol_and_comes_from_its_seed(tmp_path):
    rng = np.random.default_rng(0)
    races = np.repeat(list(b1.COUNTS), 400)
    faces = {
        "image": [{"bytes": str(i).encode(), "path": None} for i in range(len(races))],
        "race": races,
        "gender": rng.choice(["Female", "Male"], len(races)),
        "age": rng.choice(["0-2", "20-29"], len(races)),
    }
    for name, columns in {"fairface64": faces, "tinyimagenet64": {"image": faces["image"]}}.items():
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns), tmp_path / name / "train.parquet")
    drawn = [pq.read_table(b1.draw(tmp_path, tmp_path / work, 0)[0]) for work in ("a", "b")]
    assert drawn[0].equals(drawn[1])
    counts = dict(zip(*np.unique(drawn[0].column("race").to_pylist(), return_counts=True), strict=True))
    assert counts["Black"] == 100
    assert counts["Indian"] == 150
    assert "0-2" not in drawn[0].column("age").to_pylist()
    black = drawn[0].filter(pa.compute.equal(drawn[0].column("race"), "Black")).column("gender").to_pylist()
    assert black.count("Female") > 55
    other = pq.read_table(b1.draw(tmp_path, tmp_path / "c", 1)[0])
    assert not other.equals(drawn[0])


def test_other_test_files_are_told_by_content_and_never_mixed_with_the_protocol(tmp_path, results):
    file = tmp_path / "mine.parquet"
    file.write_bytes(b"one")
    first = b1.fingerprint(file)
    file.write_bytes(b"two")
    assert first.startswith("mine.parquet ")
    assert b1.fingerprint(file) != first
    scene = b1.Scene(tmp_path, tmp_path, tests=(file, None))
    assert scene.setting == {"test_positives": b1.fingerprint(file)}
    mixed = results(b1_line("equipoise", 0, 0.5), b1_line("equipoise", 1, 9.0, setting=scene.setting))
    assert [line["seed"] for line in mixed.runs("b1", "equipoise")] == [0]
    assert "mine.parquet" in b1.table(mixed.cases["b1"])


def test_a_recipe_s_mark_follows_what_was_chosen_and_not_defaults():
    @dataclasses.dataclass(frozen=True)
    class Part:
        rate: float = 0.1
        new: str | None = None

    @dataclasses.dataclass(frozen=True)
    class Whole:
        name: str
        part: Part = dataclasses.field(default_factory=Part)
        new: int = 3

    assert b1.chosen_settings(Whole("a", Part(0.2))) == {"name": "a", "part": {"rate": 0.2}}
    assert b1.recipe_mark("equipoise", ()) != b1.recipe_mark("mit-2021", ())
    assert b1.recipe_mark("equipoise", ()) != b1.recipe_mark("equipoise", ("--ess", "0.6"))


# --- the page ---


def test_whether_a_goal_is_reached_follows_the_numbers(results):
    def first(*misses):
        lines = [b1_line("equipoise", seed, miss) for seed, miss in enumerate(misses)]
        return render.goals(results(*lines))[0].reached

    assert first(0.5, 0.6, 0.5) == "yes"
    assert first(1.5, 1.6, 1.5) == "no"
    assert first(0.2, 0.2, 1.9).startswith("yes, by the mean; not all")
    assert render.goals(results())[0].reached == "not measured"


def test_a_goal_against_the_lab_needs_the_lab(results):
    ours = [b1_line("equipoise", seed, 0.5, variance=0.1) for seed in range(2)]
    lab = [b1_line(render.LAB, seed, 3.0, variance=1.0) for seed in range(2)]
    assert render.goals(results(*ours))[1].reached == "not measured"
    assert render.goals(results(*ours, *lab))[1].reached == "yes"


def test_times_are_of_runs_timed_in_turn(results):
    def line(method, epochs, seconds):
        setting = {"kind": "b1 timed", "epochs": epochs, "threads": 2}
        return b1_line(method, 0, 1.0, seconds=seconds) | {"case": "speed", "setting": setting}

    lines = [line("TensorFlow lab", 6, 100.0), line("equipoise", 1, 9.0), line("equipoise", 4, 36.0)]
    found = {goal.what: goal for goal in render.goals(results(*lines))}
    whole = found["B1: training time, share of the lab DB-VAE's"]
    first = found["Speed: time to the lab DB-VAE's final B1, share of the lab's"]
    assert (whole.ours[1]["mean"], whole.reached) == (0.36, "no")
    assert (first.ours[1]["mean"], first.reached) == (0.09, "yes")


def test_a_recipe_that_changed_counts_with_its_newest_setting_only(results):
    old = [b1_line("equipoise", seed, 5.0, setting={"recipe": "old"}) for seed in range(3)]
    new = [b1_line("equipoise", 0, 0.5, setting={"recipe": "new"})]
    found = results(*old, *new)
    assert found.over("b1", "equipoise", render.key("worst_miss"))["values"] == [0.5]
    assert "| equipoise | 1 | 0.50 |" in b1.table(found.cases["b1"])


def test_only_intervals_that_do_not_overlap_are_marked():
    def ranks(*runs):
        return [(str(i), render.over_seeds(list(values))) for i, values in enumerate(runs)]

    good, near, bad = (1.0, 1.1, 0.9), (1.1, 1.4, 0.9), (5.0, 5.1, 4.9)
    assert render.worse(ranks(good, near, bad), larger_is_better=False) == [[2], [2], []]
    assert render.worse(ranks(bad, good), larger_is_better=True) == [[1], []]
    assert render.worse(ranks((1.0, 1.0), bad), larger_is_better=False) == [
        [],
        [],
    ]  # two seeds say too little
    assert render.spans([1, 2, 3, 5]) == "1–3, 5"


def test_the_best_method_sees_no_groups_and_has_seeds_enough(results):
    lines = [b1_line("steady", seed, 1.0) for seed in range(3)]
    lines += [b1_line("oracle", seed, 9.0, sees_groups=True) for seed in range(3)]
    lines += [b1_line("lucky", 0, 8.0)]
    found, miss = results(*lines), render.key("worst_miss")
    assert render.best(found, "b1", miss)[0] == "steady"
    assert render.best(results(*lines[3:]), "b1", miss)[0] == "lucky"
    assert render.best(results(), "b1", miss) == (None, None)


def test_the_page_is_made_of_lines_alone(tmp_path, results):
    lines = [
        b1_line(method, seed, miss)
        for method, miss in (("equipoise", 0.5), ("other", 4.0))
        for seed in (0, 1)
    ]
    results(*lines)
    page = tmp_path / "docs" / "benchmarks.md"
    render.write(tmp_path / "lines", page)
    text = page.read_text()
    assert text.count("Not measured.") == len(render.TITLES) - 1
    assert "what annotators saw" in text
    assert "`python benchmarks/b1.py --data DATA`" in text
    assert (page.parent / "figures" / "bench-b1.svg").exists()
    before = (page.parent / "figures" / "bench-b1.svg").read_bytes()
    render.write(tmp_path / "lines", page)
    assert page.read_text() == text
    assert (page.parent / "figures" / "bench-b1.svg").read_bytes() == before


def test_the_readme_gets_the_headline_between_its_marks_and_only_what_was_measured(results):
    text = f"before\n{render.BEGIN}\nold\n{render.END}\nafter\n"
    assert render.in_readme(text, results(b1_line("equipoise", 0, 0.5))) == text
    whole = render.Results.of(Path(render.HERE) / "results")
    filled = render.in_readme(text, whole)
    assert filled.startswith(f"before\n{render.BEGIN}\n**Against plain training")
    assert filled.endswith(f"\n{render.END}\nafter\n")
    assert "old\n" not in filled
    assert render.in_readme(filled, whole) == filled
    assert render.in_readme("no marks", whole) == "no marks"


def test_intervals_of_the_headline_stand_on_the_page():
    readme, page = (
        (Path(render.HERE).parent / name).read_text() for name in ("README.md", "docs/benchmarks.md")
    )
    told = re.findall(r"\d+\.\d+ \[[^\]]+\]", readme.split(render.BEGIN)[1].split(render.END)[0])
    assert len(told) == 8
    assert [one for one in told if one not in page] == []


def test_what_was_found_and_what_makes_figures_optimistic_is_on_the_page():
    page = (Path(render.HERE).parent / "docs" / "benchmarks.md").read_text()
    for title in (render.FOUND, render.OPTIMISTIC):
        section = render.told(Path(render.HERE) / "README.md", title)
        assert len(section) > 300
        assert f"## {title}\n\n{section}" in page


# --- B4 ---


def test_recall_and_false_discoveries_of_chosen_faces(scene):
    options = b4.Options(column="colour")
    planted = b4.Scene(options, 0)
    planted.parts = (scene(240), scene(20, seed=1))
    blue = np.array(planted.faces.column("colour")) == "blue"
    assert planted.rare == ["blue"]
    assert b4.discovered(planted, blue) == {
        "chosen": blue.mean(),
        "recall": {"blue": 1.0},
        "false_discovery": 0.0,
    }
    everyone = b4.discovered(planted, np.ones(len(blue), bool))
    assert everyone["false_discovery"] == pytest.approx(1 - blue.mean())
    assert b4.discovered(planted, ~np.ones(len(blue), bool))["false_discovery"] is None


def test_a_rule_that_knows_the_rare_reaches_the_ceiling_and_its_rarest_tenth_is_the_group(scene):
    planted = b4.Scene(b4.Options(column="colour"), 0)
    planted.parts = (scene(400), scene(20, seed=1))
    blue = np.array(planted.faces.column("colour")) == "blue"
    logs = np.where(blue, 3.0, 0.0) + np.random.default_rng(0).normal(0, 0.1, len(blue))
    found = b4.by_rule(planted, lambda _: logs, True)
    assert found["ess"] == pytest.approx(0.5, abs=1e-3)
    assert 3 < found["enrichment"]["blue"] < 4.01  # 1 + √(0.9 / 0.1) is the most that ESS 0.5 allows
    assert found["rarest_tenth"]["recall"] == {"blue": 1.0}
    curve = [found["by_ess"][str(ess)]["blue"] for ess in b4.CURVE]
    assert curve == sorted(curve)


def test_the_least_enriched_hidden_group_counts_and_the_common_one_does_not():
    line = {"numbers": {"enrichment": {"backlit": 4.0, "darker skin": 0.9, "common": 0.5}}}
    assert render.least_enriched(line) == 0.9
    assert render.least_enriched({"numbers": {"recall": {}}}) is None
