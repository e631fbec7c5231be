import dataclasses

from equipoise import Rate
from equipoise.report import resampling_text, text


def line(shown: str, start: str) -> str:
    return next(row for row in shown.splitlines() if row.startswith(start))


def test_the_table_shows_both_models_at_both_points(record):
    shown = text(record)
    row = line(shown, "Black ")
    for name in ("plain", "debiased"):
        group = record.models[name].numbers.groups["race"]["Black"]
        for rate in (group.tpr_at_fpr.complement, group.tpr.complement):
            assert f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]" in row
    assert str(record.models["plain"].numbers.groups["race"]["Black"].positives) in row
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
    assert "* under 30 positives" in shown


def test_every_size_prints(make_record):
    assert "all models" in text(make_record(models=1, attributes={}, resampling=False, compared=False))
    many = {f"attribute {i}": tuple(f"group {j}" for j in range(20)) for i in range(4)}
    assert text(make_record(models=6, attributes=many)).count("group 19") >= 4
    assert text(make_record(models=0, attributes={}))


def test_names_cannot_steer_the_terminal(make_record):
    shown = text(make_record(models=2, attributes={"a": ("x\x1b[2J" + "y" * 300, "z\nw")}, undefined=False))
    assert "\x1b" not in shown
    assert "z\nw" not in shown


def test_enrichment_by_group_rarest_first_and_at_the_common_strength(record):
    made = record.resampling
    shown = text(record)
    table = shown[shown.index("Enrichment by race") :].splitlines()
    natural = made.natural_share["race"]
    assert [row.split("  ")[0] for row in table[3 : 3 + len(natural)]] == sorted(natural, key=natural.get)
    rate = made.enrichment["race"]["Black"]
    row = next(row for row in table if row.startswith("Black"))
    assert f"{rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]" in row
    assert "at ESS 0.5" in shown
    assert made.verdict in " ".join(shown.split())
    assert f"At effective sample size 0.5: {made.verdict_at_half}" in " ".join(shown.split())
    same = resampling_text(dataclasses.replace(made, ess=0.5))
    assert "at ESS 0.5" not in same
    undefined = {"race": dict.fromkeys(natural, Rate.undefined("all images are equally rare", 7))}
    none = resampling_text(dataclasses.replace(made, enrichment_at_half=undefined))
    assert none[: none.index("Enrichment by gender")].count("undefined") == len(natural)


def test_negatives_have_a_table_of_their_own(record):
    negatives = dataclasses.replace(record.resampling, negatives=None, verdict="Nothing there.")
    shown = text(
        dataclasses.replace(record, resampling=dataclasses.replace(record.resampling, negatives=negatives))
    )
    assert "Sampling of the negatives by rarity: rule equipoise" in shown
    assert "% of negatives" in shown
    assert "Nothing there." in shown
