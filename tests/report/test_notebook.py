"""What a notebook shows of records."""

import pytest


@pytest.mark.parametrize("name", ["make_record", "make_audit", "make_augment"])
def test_records(name, request):
    record = request.getfixturevalue(name)()
    assert len(repr(record)) < 300
    html = record._repr_html_()
    assert "<table>" in html
    assert len(html) < 6000
