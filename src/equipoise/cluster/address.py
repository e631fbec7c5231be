"""Which cluster: one on this machine for the time of a job, or one that runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from equipoise.errors import InputError, MissingExtraError
from equipoise.processors import available

__all__ = ["Cluster", "cluster_of"]

LOCAL, AUTO, SCHEME = "ray", "auto", "ray://"
ANSWERS_S = 5.0  # a machine that is there answers sooner
STARTS, SLOW = 3, "timed out during startup"
STORE_BYTES = 400 << 20  # of memory for what travels in a cluster of our own; more of it goes to the disk


@dataclass(frozen=True)
class Cluster:
    """Machines that compute.

    Args:
        address: None starts a cluster on this machine; "auto" is the one that this machine is part of; else the
            address of its head, "host:port".
        shard_rows: Rows a shard, at most; None decides by rows and processors.
    """

    address: str | None = None
    shard_rows: int | None = None

    def check(self) -> None:
        """Whether Ray is installed and the cluster answers, before anything long starts.

        Raises:
            MissingExtraError: if Ray is not installed.
            InputError: if nothing answers, or this machine is no part of that cluster.
        """
        if importlib.util.find_spec("ray") is None or importlib.util.find_spec("ray.data") is None:
            raise MissingExtraError(
                "Passes on a cluster (`on`) need the package ray with its part data, which is not installed. Run: "
                "pip install 'equipoise[ray]'"
            )
        if self.address is not None:
            self._found()

    def _found(self) -> str:
        """The address as the cluster knows it."""
        asked = self.address or AUTO
        if asked != AUTO:
            _check_answers(asked)
        _environment()
        services: Any = importlib.import_module("ray._private.services")
        running = sorted(map(str, services.find_gcs_addresses()))
        for one in running:
            if asked == AUTO or _same(asked, one):
                return one
        raise InputError(
            f"Expected `on` to name a Ray cluster that this machine is part of; got {SCHEME}{asked}, and here runs "
            f"{', '.join(running) or 'none'}. Start Ray here as its head, or as one of its machines; "
            "the port is the one that the head says, not that of Ray Client."
        )

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """The module `ray`, connected in the block; a connection that was there already is taken, and stays.

        Raises:
            InputError: if it cannot be connected to.
        """
        address = None if self.address is None else self._found()
        _environment()
        import ray

        if ray.is_initialized():
            yield ray
            return
        options: dict[str, Any] = {"address": address}
        if address is None:
            # one more than there are processors: an actor on each, and one left for Ray's own tasks
            options = {
                "address": "local",
                "num_cpus": available() + 1,
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
            }
        _start(ray, options)
        try:
            yield ray
        finally:
            ray.shutdown()


def _start(ray: Any, options: dict[str, Any]) -> None:
    """Connect; a node of our own that a busy machine does not start in Ray's 30 seconds is started again."""
    for left in reversed(range(STARTS)):
        try:
            with _own_signals():
                ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
            return
        except Exception as error:  # Ray raises many, plain ones too
            ray.shutdown()
            if left and SLOW in str(error):
                continue
            own = options["address"] == "local"
            where = (
                "start a Ray cluster on this machine" if own else f"connect to Ray at {options['address']}"
            )
            why = (
                "Is the machine busy?"
                if SLOW in str(error)
                else "Every machine needs the same Python and Ray."
            )
            told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(f"Expected to {where}; got: {told:.300}. {why}") from error


def cluster_of(on: str) -> Cluster:
    """The cluster that is named: "ray", "ray://auto" or "ray://HOST:PORT".

    Raises:
        InputError: if it is none of these.

    Example:
        >>> cluster_of("ray").address, cluster_of("ray://10.0.0.1:6379").address
        (None, '10.0.0.1:6379')
    """
    if on == LOCAL:
        return Cluster()
    address = on.removeprefix(SCHEME)
    host, _, port = address.rpartition(":")
    if on.startswith(SCHEME) and (
        address == AUTO or (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    ):
        return Cluster(address)
    raise InputError(
        f"Expected `on` as ray (a cluster on this machine for the time of the job), ray://auto (the one that this "
        f"machine is part of), ray://HOST:PORT, or onnx (by onnxruntime on this machine); got {on!r:.200}. Write one "
        "of these."
    )


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_S).close()
    except (OSError, UnicodeError) as error:
        told = f"no answer in {ANSWERS_S:.0f} seconds" if isinstance(error, TimeoutError) else f"{error}"
        raise InputError(
            f"Expected a Ray cluster at `on` {SCHEME}{address}; got: {told}. Start Ray there, or check the "
            "address."
        ) from error


def _same(asked: str, running: str) -> bool:
    """Whether two addresses are one: names are looked up, and the own machine has several."""
    (host, _, port), (own, _, known) = asked.rpartition(":"), running.rpartition(":")
    if port != known:
        return False
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host.strip("[]"), None)}
    except (OSError, UnicodeError):
        found = {host}
    return own in found or any(one == "::1" or one.startswith("127.") for one in found)


def _environment() -> None:
    """What Ray reads when it is imported: it tells nobody of its use, and says what went wrong, not how it goes on."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what SIGTERM does here: Ray puts its own in its place, which ends the process with another code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
