"""What pictures may take of the disk, as people write it."""

import types

import pytest

from equipoise.data import cache_limit
from equipoise.data.cache_limit import allowed_bytes, check_limit
from equipoise.errors import InputError


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        (None, 100),
        (0, 0),
        ("0", 0),
        (0.25, 250),
        ("0.25", 250),
        ("25%", 250),
        (" 25 % ", 250),
        (1, 1000),
        ("10 GB", 10**10),
        ("10gb", 10**10),
        ("1.5M", 1_500_000),
        ("7 kB", 7000),
        ("900 B", 900),
        (12345, 12345),
    ],
)
def test_bytes_and_shares(given, bytes_, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        cache_limit.shutil,
        "disk_usage",
        lambda place: asked.append(place) or types.SimpleNamespace(free=1000),
    )
    assert allowed_bytes(given, tmp_path / "not" / "yet") == bytes_
    assert asked in ([], [tmp_path])


@pytest.mark.parametrize(
    "given", ["", "10", "much", "-1", "-5 GB", 1.5, float("nan"), float("inf"), "1e3 GB", "5 PB"]
)
def test_what_is_no_limit(given):
    with pytest.raises(InputError, match="as 10GB or 500MB"):
        check_limit(given)
