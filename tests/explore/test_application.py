"""The server: who is answered, with what, and what it never sends."""

import time

import numpy as np
import pytest

pytest.importorskip("starlette.testclient")
from starlette.testclient import TestClient

from equipoise.explore.application import application

TOKEN, PORT = "t0ken", 8765
HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def client(run_folder, exploring):
    with TestClient(application(exploring(run_folder()), TOKEN, PORT), base_url=HERE) as found:
        yield found


def asked(client, name, **more):
    return client.get(f"/{TOKEN}/{name}", **more)


def test_the_page_and_its_parts_are_there_and_may_load_nothing_else(client):
    page = asked(client, "")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for name in ("page.js", "page.css", "scatter.js", "icon.svg"):
        assert asked(client, name).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/", "/about", "/wrong/about", f"/{TOKEN}x/about", "/page.js", "/%00/about"],
)
def test_without_the_token_nothing_is_answered(client, path):
    found = client.get(path)
    assert found.status_code == 403
    assert found.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": f"127.0.0.1:{PORT}"}, 200),
        ({"host": f"localhost:{PORT}"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": f"evil.example:{PORT}"}, 403),
        ({"host": "127.0.0.1"}, 403),
        ({"origin": HERE}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_only_the_page_itself_is_answered(client, headers, status):
    assert asked(client, "about", headers=headers).status_code == status


def test_columns_come_as_blocks(client):
    about = asked(client, "about").json()
    assert about["rows"] == 12
    skin = next(one for one in about["columns"] if one["name"] == "skin")
    codes = np.frombuffer(asked(client, "column?name=skin").content, "<i4")
    assert len(codes) == 12
    assert codes.max() < len(skin["names"])
    assert len(asked(client, "column?name=age&ranked").content) == 48
    assert len(asked(client, "map?name=scores").content) == 96
    wrongs = (
        "column?name=nothing",
        "column",
        "column?name=skin&ranked",
        "map?name=nothing",
        "umap?name=nothing",
    )
    for wrong in (*wrongs, "umap", "map?name=scores&by=tsne"):
        assert asked(client, wrong).status_code == 400


def test_umap_is_begun_and_told_of(run_folder, exploring, umap_stub):
    umap_stub("return vectors[:, :2]")
    with TestClient(application(exploring(run_folder(30)), TOKEN, PORT), base_url=HERE) as client:
        while (said := asked(client, "umap?name=scores").json())["state"] == "computing":
            time.sleep(0.05)
        assert said["state"] == "ready"
        assert len(asked(client, "map?name=scores&by=umap").content) == 240


def test_a_map_by_umap_that_is_not_there_is_refused(client):
    refused = asked(client, "map?name=scores&by=umap")  # of twelve rows
    assert refused.status_code == 400
    assert "not there" in refused.json()["error"]


def test_a_row_says_everything_and_markup_stays_text(client, markup):
    rows = [asked(client, f"row/{row}").json() for row in range(12)]
    assert any(one["values"]["skin"] == markup for one in rows)
    assert asked(client, "row/0").headers["content-type"] == "application/json"
    assert [one["name"] for one in rows[0]["models"]] == ["plain", "debiased"]
    assert rows[1]["label"] == "1"
    near = asked(client, "near/3").json()
    assert len(near["rows"]) == 11
    assert 3 not in near["rows"]
    for wrong in ("row/12", "near/99", "picture/12"):
        assert asked(client, wrong).status_code == 400


def test_pictures_come_by_row_alone(client):
    found = asked(client, "picture/3?size=96")
    assert found.headers["content-type"] == "image/jpeg"
    assert found.content[:2] == b"\xff\xd8"
    assert asked(client, "picture/3?size=9999").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "picture/../../scores.parquet",
        "picture/..%2f..%2fscores.parquet",
        "picture/place%2fimgs%2f000001.png",
        "picture/-1",
        "..%2fapplication.py",
        "%2e%2e/application.py",
        "../application.py",
        "%2fetc%2fpasswd",
        "page.js%00.png",
        "__init__.py",
        "scores.parquet",
    ],
)
def test_no_other_file_is_sent(client, path):
    found = asked(client, path)
    assert found.status_code in (400, 403, 404, 405)
    assert found.headers["content-type"] in ("application/json", "text/plain; charset=utf-8")


def test_a_selection_is_saved(client):
    body = {"name": "night", "value": "dark", "rows": [1, 2], "format": "csv"}
    found = client.post(f"/{TOKEN}/save", json=body, headers={"origin": HERE})
    assert found.json() == {"file": "run/explored/night.csv", "name": "night", "rows": 2}
    assert any(one["name"] == "night" for one in asked(client, "about").json()["columns"])


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {}, 403),  # no origin
        (b"{}", {"origin": "http://evil.example"}, 403),
        (b"{}", {"origin": HERE}, 400),
        (b"{}", {"origin": HERE, "content-type": "text/plain"}, 400),
        (b"[]", {"origin": HERE}, 400),
        (b"{", {"origin": HERE}, 400),
        (b"\xff", {"origin": HERE}, 400),
        (b"[" * 100_000, {"origin": HERE}, 400),
    ],
)
def test_other_requests_save_nothing(client, content, headers, status):
    headers = {"content-type": "application/json", **headers}
    found = client.post(f"/{TOKEN}/save", content=content, headers=headers)
    assert found.status_code == status
    assert "error" in found.json()


def test_pictures_that_are_looked_for_are_said_to_be(run_folder, exploring):
    one = exploring(run_folder())
    one.pictures.ready.clear()
    with TestClient(application(one, TOKEN, PORT), base_url=HERE) as client:
        assert asked(client, "status").json() == {"pictures": False, "notes": []}
        assert asked(client, "picture/1").status_code == 503
