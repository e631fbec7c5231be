"""`equipoise explore`: what is refused before it serves, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.explore import serving


@pytest.fixture
def table(tmp_path):
    rows = {"path": ["a.png", "b.png"], "label": [0, 1], "score": [0.1, 0.7]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def refused(capsys, *arguments):
    assert main(["explore", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_what_is_no_run_is_refused(capsys, tmp_path, table):
    assert "finished run" in refused(capsys, tmp_path)
    assert "got nothing" in refused(capsys, tmp_path / "nowhere")
    assert "--label-column" in refused(capsys, tmp_path, "--label-column", "x")
    assert "'x'" in refused(capsys, table, "--label-column", "x")


def test_a_taken_port_is_refused(capsys, table):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "taken" in refused(capsys, table, "--port", taken.getsockname()[1])
    assert "0…65535" in refused(capsys, table, "--port", 70000)


def test_without_the_extra_it_says_what_to_install(capsys, table, monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert "equipoise[explore]" in refused(capsys, table)


@pytest.mark.slow
def test_it_serves_without_torch_until_ctrl_c(table):
    code = (
        "import sys; from equipoise.cli import main; code = main(sys.argv[1:]);"
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "explore", str(table)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", process.stdout.readline())[0]
        with urllib.request.urlopen(f"{address}about", timeout=20) as found:
            assert b'"rows":2' in found.read()
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(address.rsplit("/", 2)[0] + "/", timeout=20)
        assert error.value.code == 403
        error.value.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "False"
