from equipoise.report import text


def line(shown: str, start: str) -> str:
    return next(row for row in shown.splitlines() if row.startswith(start))


def test_the_table_shows_both_models_at_both_points(record):
    shown = text(record)
    row = line(shown, "Black ")
    for name in ("plain", "debiased"):
        group = record.models[name].groups["race"]["Black"]
        for rate in (group.tpr_at_fpr.complement, group.tpr.complement):
            assert f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]" in row
    assert str(record.models["plain"].groups["race"]["Black"].n) in row
    assert line(shown, "worst group").count("Black") == 4
    assert "gap, points" in shown
    assert "variance, percent²" in shown


def test_undefined_is_printed_as_undefined_with_its_reason(record):
    shown = text(record)
    assert line(shown, "(missing)").count("undefined") == 4
    assert "(missing): undefined, no positives in this group." in shown
    assert "nan" not in shown.lower()


def test_small_groups_are_marked(record):
    shown = text(record)
    assert line(shown, "White").startswith("White *")
    assert "* under 30 images" in shown


def test_every_size_prints(make_record):
    assert "all models" in text(make_record(models=1, attributes={}, resampling=False, compared=False))
    many = {f"attribute {i}": tuple(f"group {j}" for j in range(20)) for i in range(4)}
    assert text(make_record(models=6, attributes=many)).count("group 19") >= 4
    assert text(make_record(models=0, attributes={}))


def test_names_cannot_steer_the_terminal(make_record):
    shown = text(make_record(models=2, attributes={"a": ("x\x1b[2J" + "y" * 300, "z\nw")}, undefined=False))
    assert "\x1b" not in shown
    assert "z\nw" not in shown
