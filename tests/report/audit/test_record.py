import json
from dataclasses import asdict
from pathlib import Path

import pytest

from equipoise.errors import DataError, InputError
from equipoise.report import read_audit, write_audit
from equipoise.report.audit.record import AuditRecord


def test_what_was_written_is_read(make_audit, tmp_path):
    record = make_audit()
    path = write_audit(record, tmp_path)
    assert path.name == "audit.json"
    # repr: a NaN is not equal to itself
    assert repr(asdict(read_audit(tmp_path))) == repr(asdict(record))
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert next(iter(content)) == "schema_version"
    undefined = content["kinds"]["mislabelled"]["accuracy"]
    assert undefined["value"] is None
    assert undefined["reason"] == "no image is of this kind"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("risks"), "no risks"),
        (lambda c: c.update(schema_version=3), "schema version 4; got version 3"),
        (lambda c: c.update(more=1), "unknown key 'more'"),
        (lambda c: c["kinds"]["rare"].update(examples=["x"]), "whole number"),
    ],
)
def test_another_schema_is_refused(make_audit, tmp_path, change, words):
    path = write_audit(make_audit(), tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        read_audit(tmp_path)


def test_what_is_no_audit_says_so(tmp_path):
    with pytest.raises(DataError, match="Give the folder of a finished run"):
        read_audit(tmp_path)
    (tmp_path / "audit.json").write_text("[1")
    with pytest.raises(DataError, match="Expected JSON"):
        read_audit(tmp_path)


def test_a_record_that_could_not_be_read_back_is_not_written(make_audit, tmp_path):
    with pytest.raises(InputError):
        write_audit(make_audit(seed="zero"), tmp_path)
    assert not (tmp_path / "audit.json").exists()


def test_every_key_is_documented(held):
    text = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    for name, fields in held(AuditRecord).items():
        for key in fields:
            assert f"`{key}`" in text, f"{name}.{key}"
