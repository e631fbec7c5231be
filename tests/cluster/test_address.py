"""Which cluster is named, and what is told before anything long starts."""

import importlib.util
import socket
import subprocess
import sys

import pytest

from equipoise.cluster import cluster_of
from equipoise.cluster.address import _same, _start
from equipoise.errors import InputError, MissingExtraError

installed = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")


def test_names_of_clusters():
    assert cluster_of("ray").address is None
    assert cluster_of("ray://auto").address == "auto"
    assert cluster_of("ray://node-1.lab:6379").address == "node-1.lab:6379"


@pytest.mark.parametrize(
    "on",
    [
        "",
        "dask",
        "ray:",
        "ray://",
        "ray://host",
        "ray://host:",
        "ray://:1",
        "ray://a:0",
        "ray://a:70000",
        "ray://a:²",
        "a:1",
    ],
)
def test_other_names_are_refused(on):
    with pytest.raises(InputError, match="Expected `on` as ray"):
        cluster_of(on)


def test_without_ray_it_says_which_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'equipoise\[ray\]'"):
        cluster_of("ray").check()


@installed
def test_an_address_that_does_not_answer(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # nobody listens
        with pytest.raises(
            InputError, match=f"Expected a Ray cluster at `on` ray://127.0.0.1:{port}; got: .*refused"
        ):
            cluster_of(f"ray://127.0.0.1:{port}").check()

    def silent(*_):
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(InputError, match="no answer in 5 seconds"):
        cluster_of("ray://10.0.0.1:6379").check()


@installed
@pytest.mark.filterwarnings("ignore")
def test_an_address_of_something_else_is_told_at_once():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(InputError, match="that this machine is part of; got ray://127"):
            cluster_of(f"ray://127.0.0.1:{listening.getsockname()[1]}").check()


def test_addresses_of_this_machine_are_one():
    assert _same("127.0.0.1:6379", "192.0.2.7:6379")
    assert _same("192.0.2.7:6379", "192.0.2.7:6379")
    assert not _same("127.0.0.1:6379", "192.0.2.7:6380")
    assert not _same("192.0.2.8:6379", "192.0.2.7:6379")


def test_importing_the_room_loads_neither_ray_nor_torch():
    code = "import sys, equipoise.cluster; print({'ray', 'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


class Starting:
    """Stands for Ray that starts at the n-th try."""

    def __init__(self, at, error):
        self.at, self.error, self.tried = at, error, 0

    def init(self, **_):
        self.tried += 1
        if self.tried < self.at:
            raise Exception(self.error)

    def shutdown(self):
        pass


def test_a_node_that_starts_slowly_is_started_again():
    slow = Starting(3, "The current node timed out during startup.")
    _start(slow, {"address": "local"})
    assert slow.tried == 3
    with pytest.raises(InputError, match=r"Expected to start a Ray cluster on this machine; got: .*busy"):
        _start(Starting(9, "The current node timed out during startup."), {"address": "local"})
    other = Starting(2, "Version mismatch")
    with pytest.raises(InputError, match=r"connect to Ray at a:1; got: Version mismatch\. Every machine"):
        _start(other, {"address": "a:1"})
    assert other.tried == 1
