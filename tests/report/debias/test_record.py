import dataclasses
import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import fairness
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.fairness.evaluation import GroupNumbers
from equipoise.rate import Rate
from equipoise.report.debias import record as schema
from equipoise.report.debias.record import from_json, read, to_json, write
from equipoise.report.parts.typed_json import LATER, decode, encode

NUMBERS = st.floats(allow_nan=False)


def test_what_is_written_is_read(record, tmp_path):
    file = write(record, tmp_path / "run")
    assert file == tmp_path / "run" / "record.json"
    assert to_json(read(file)) == to_json(record) == to_json(read(tmp_path / "run"))
    json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))


@pytest.mark.parametrize(
    "size",
    [
        {"models": 1, "attributes": {}, "resampling": False, "compared": False},
        {"models": 6, "attributes": {f"a{i}": tuple(f"g{j}" for j in range(20)) for i in range(4)}},
    ],
)
def test_small_and_large_records_come_back(make_record, size):
    made = to_json(make_record(**size))
    assert to_json(from_json(made)) == made


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 10**9))
def test_rates_come_back(value, low, high, n):
    rate = Rate(value, low, high, n)
    assert decode(Rate, json.loads(json.dumps(encode(rate), allow_nan=False))) == rate


@given(st.text(), st.integers(0, 9))
def test_undefined_rates_come_back_with_their_reason(reason, n):
    content = encode(Rate.undefined(reason, n))
    assert content == {"value": None, "low": None, "high": None, "n": n, "reason": reason}
    back = decode(Rate, content)
    assert (back.reason, back.n, math.isnan(back.value)) == (reason, n, True)


@dataclasses.dataclass(frozen=True)
class Grown:
    first: int
    later: dict[str, int] = dataclasses.field(default_factory=dict, metadata=LATER)


def test_a_field_that_is_younger_than_records_stands_there_where_it_holds_something():
    assert encode(Grown(1)) == {"first": 1}
    assert encode(Grown(1, {"a": 2})) == {"first": 1, "later": {"a": 2}}
    assert decode(Grown, {"first": 1}) == Grown(1)
    assert decode(Grown, {"first": 1, "later": {"a": 2}}) == Grown(1, {"a": 2})
    with pytest.raises(InputError, match=r"the unknown key 'latter' \(is 'later' meant"):
        decode(Grown, {"first": 1, "latter": {}})


def test_a_defined_rate_has_no_reason():
    assert set(encode(Rate(0.5, 0.4, 0.6, 10))) == {"value", "low", "high", "n"}


def test_numpy_numbers_become_json():
    assert encode(
        {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.array([1.0, np.nan])}
    ) == {
        "a": 0.5,
        "b": 3,
        "c": True,
        "d": [1.0, None],
    }


def test_the_keys_that_others_rely_on(record):
    made = to_json(record)
    assert next(iter(made)) == "schema_version"
    assert {
        "schema_version",
        "recipe",
        "seed",
        "versions",
        "data",
        "models",
        "resampling",
        "timing",
    } <= made.keys()
    assert {"fingerprint", "counts", "rejected"} <= made["data"].keys()
    model = made["models"]["debiased"]
    assert {"fpr", "accuracy", "variance", "worst_group", "gap"} <= model["numbers"].keys()
    group = model["numbers"]["groups"]["race"]["Black"]
    assert isinstance(group["n"], int)
    assert isinstance(group["positives"], int)
    for name in ("tpr", "tpr_at_fpr", "auroc", "mean_probability"):
        assert group[name].keys() == {"value", "low", "high", "n"}
    assert {"ess", "max_weight"} <= made["resampling"].keys()
    assert made["resampling"]["enrichment"]["race"]["Black"].keys() == {"value", "low", "high", "n"}
    assert made["timing"].keys() == {"steps_per_s", "wall_s", "peak_rss_bytes"}


def test_the_documentation_names_every_key_and_no_other(held):
    pages = Path(__file__).parents[3] / "docs" / "record.md"
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", pages.read_text(), flags=re.M | re.S))
    records = held(schema.RunRecord)
    assert records.keys() <= sections.keys()
    for name, fields in records.items():
        keys = re.findall(r"^\| `(\w+)` \|", sections[name], flags=re.M)
        assert set(keys) == fields, name
        assert len(keys) == len(set(keys))
    assert f"Schema version **{schema.SCHEMA_VERSION}**" in pages.read_text()


def changed(content, path, value):
    *parents, last = path.split("/")
    place = content
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema_version", 7, "schema version 4; got version 7, written by equipoise 0.1.0"),
        ("schema_version", None, "object with the key schema_version; got an object without it"),
        ("seed", "zero", "Expected a whole number at record.seed; got 'zero'"),
        ("seed", True, "Expected a whole number at record.seed; got True"),
        ("timing/wall_s", None, "at record.timing; got no wall_s"),
        ("data/fingreprint", {}, "the unknown key 'fingreprint' (is 'fingerprint' meant?)"),
        (
            "models/plain/numbers/fpr",
            {"value": None, "low": None, "high": None, "n": 3},
            "At record.models.plain.numbers.fpr: A rate",
        ),
        (
            "models/plain/numbers/fpr",
            0.5,
            "object with the keys value, low, high, n at record.models.plain.numbers.fpr; got 0.5",
        ),
        ("models/plain/history/step", 3, "Expected a list at record.models.plain.history.step; got 3"),
        (
            "models/plain/history/step",
            [1, "x"],
            "a number or null at record.models.plain.history.step[1]; got 'x'",
        ),
        ("versions", [], "Expected an object at record.versions"),
        ("command", 3, "Expected text at record.command; got 3"),
    ],
)
def test_what_does_not_fit_is_refused(record, tmp_path, path, value, message):
    content = changed(to_json(record), path, value)
    with pytest.raises(InputError, match=re.escape(message)):
        from_json(content)
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema_version": NaN}', b"\xff\xfe\x00", b"[" * 200_000])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(DataError, match=r"Expected JSON in .*record\.json"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", '"record"', "null"])
def test_json_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(DataError, match=r"Choose the record\.json of a run's folder"):
        read(tmp_path)


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="Give the folder of a finished run"):
        read(tmp_path / "nowhere")


def test_nothing_is_written_that_could_not_be_read(record, tmp_path):
    write(record, tmp_path)
    before = (tmp_path / "record.json").read_bytes()
    for wrong in ({"settings": {"x": object()}}, {"settings": {3: 4}}, {"seed": "zero"}, {"fpr": "small"}):
        with pytest.raises(EquipoiseError):
            write(dataclasses.replace(record, **wrong), tmp_path)
    assert (tmp_path / "record.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("version", [1, 2, 3, "4", True, None])
def test_another_version_is_refused_by_its_name(record, tmp_path, version):
    content = {**to_json(record), "schema_version": version}
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(
        DataError, match=re.escape(f"schema version 4; got version {version!r}, written by equipoise 0")
    ):
        read(tmp_path)


def test_numbers_come_back_in_the_types_that_fairness_gives(record, tmp_path):
    write(record, tmp_path)
    back = read(tmp_path)
    numbers = back.models["debiased"].numbers
    assert isinstance(numbers, fairness.Evaluation)
    assert isinstance(numbers.groups["race"]["Black"], GroupNumbers)
    assert isinstance(numbers.not_compared["race"], tuple)
    assert isinstance(numbers.worst_group["race"]["at_fpr"]["tpr"], Rate)
    assert isinstance(back.comparisons, fairness.Comparison)
    assert isinstance(back.comparisons.differences["debiased"], fairness.Difference)
    assert repr(asdict(back)) == repr(asdict(record))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "worst_group/race/at_fpr/group",
            3,
            "Expected text at record.models.plain.numbers.worst_group.race.at_fpr.group",
        ),
        ("worst_group/race/at_fpr", {"group": "Black"}, "got no tpr"),
        ("not_compared/race", "Black", "Expected a list at record.models.plain.numbers.not_compared.race"),
        ("not_compared/race", [3], "record.models.plain.numbers.not_compared.race[0]; got 3"),
        ("positives", 1.5, "Expected a whole number at record.models.plain.numbers.positives"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(record, path, value, message):
    content = changed(to_json(record), f"models/plain/numbers/{path}", value)
    with pytest.raises(InputError, match=re.escape(message)):
        from_json(content)
