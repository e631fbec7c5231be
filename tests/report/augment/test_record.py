import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import pytest

import equipoise.report.augment.record as schema
from equipoise.errors import DataError, InputError
from equipoise.report import read_augment, write_augment


def test_what_was_written_is_read(make_augment, tmp_path):
    record = make_augment()
    path = write_augment(record, tmp_path)
    assert path.name == "augment.json"
    # repr: a NaN is not equal to itself
    assert repr(asdict(read_augment(tmp_path))) == repr(asdict(record))
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert next(iter(content)) == "schema_version"
    undefined = content["models"]["plain"]["numbers"]["cluster"]["metrics"]["deo"]
    assert undefined["value"] is None
    assert undefined["reason"] == "no positives with cluster = '3'"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(schema_version=1), "schema version 2; got version 1, written by equipoise 0"),
        (lambda c: c.update(schema_version=True), "schema version 2; got version True"),
        (lambda c: c.pop("models"), "no models"),
        (lambda c: c.update(more=1), "unknown key 'more'"),
        (lambda c: c["pairs"].update(count="many"), "whole number"),
    ],
)
def test_another_schema_is_refused(make_augment, tmp_path, change, words):
    path = write_augment(make_augment(), tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        read_augment(tmp_path)


def test_what_is_no_record_of_augment_says_so(tmp_path):
    with pytest.raises(DataError, match="Give the folder of a finished run"):
        read_augment(tmp_path)
    (tmp_path / "augment.json").write_text("[1")
    with pytest.raises(DataError, match="Expected JSON"):
        read_augment(tmp_path)


def test_a_record_that_could_not_be_read_back_is_not_written(make_augment, tmp_path):
    with pytest.raises(InputError):
        write_augment(dataclasses.replace(make_augment(), seed="zero"), tmp_path)
    assert not (tmp_path / "augment.json").exists()


def test_every_key_is_documented(held):
    text = (Path(__file__).parents[3] / "docs" / "augment.md").read_text()
    for name, fields in held(schema.AugmentRecord).items():
        assert f"### {name}\n" in text
        section = text.split(f"### {name}\n")[1].split("\n### ")[0]
        for key in fields:
            assert f"`{key}`" in section, f"{name}.{key}"
