"""Each number of a page stands where its label says: all of a record's numbers differ here."""

import dataclasses

import pytest

from equipoise.rate import Rate
from equipoise.report.debias.differences import differences
from equipoise.report.debias.groups import by_group
from equipoise.report.debias.models import Shown
from equipoise.report.parts import tables, words


def apart(value, count):
    """The same with every rate another number."""
    if isinstance(value, Rate):
        share = next(count) / 1000
        return Rate(share, share - 0.1, share + 0.1, 50)
    if dataclasses.is_dataclass(value):
        fields = {f.name: apart(getattr(value, f.name), count) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return {key: apart(item, count) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def shown(make_record):
    record = make_record(models=2, attributes={"race": ("A", "B", "C")}, undefined=False)
    numbers = iter(range(150, 850))
    models = {name: apart(model, numbers) for name, model in record.models.items()}
    compared = apart(record.comparisons, numbers)
    return Shown(dataclasses.replace(record, models=models, comparisons=compared))


@pytest.mark.parametrize(("place", "point", "key"), [(0, "at_fpr", "tpr_at_fpr"), (1, "at_0.5", "tpr")])
def test_a_group_and_the_spread_of_groups_stand_at_their_point(shown, place, point, key):
    table = by_group(shown).panels[0][1].panels[place][1].table
    for i, model in enumerate(shown.models):
        groups = model.numbers.groups["race"]
        for row in table.rows:
            assert row[2 + i].text == words.percent(1 - getattr(groups[row[0].text], key).value)
        total, worst, gap, variance = (row[2 + i] for row in table.foot)
        assert total.text == words.percent(1 - getattr(model.numbers, key).value)
        assert worst.text == model.numbers.worst_group["race"][point]["group"]
        assert gap == tables.spread(model.numbers.gap["race"][point], 1, scale=100)
        assert variance == tables.spread(model.numbers.variance["race"][point], 2)


@pytest.mark.parametrize(("place", "point"), [(0, "at_fpr"), (1, "at_0.5")])
def test_differences_stand_at_their_point(shown, place, point):
    found, made = shown.record.comparisons.differences["debiased"], differences(shown)
    table = made["tabs"].panels[0][1].panels[place][1].table
    for row in table.rows:
        assert row[2] == tables.change(words.flipped(found.groups["race"][row[0].text][point]))
    worst, gap, variance = (row[2] for row in table.foot)
    assert worst == tables.change(words.flipped(found.worst_group["race"][point]))
    assert gap == tables.change(found.gap["race"][point])
    assert variance == tables.change(found.variance["race"][point], 2, scale=1)
    assert made["overall"].rows[place][1] == tables.change(words.flipped(found.tpr[point]))
