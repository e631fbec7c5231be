"""A server on this machine's own address alone."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable
from importlib.util import find_spec

from equipoise.errors import InputError, MissingExtraError
from equipoise.explore.exploration import Exploration

__all__ = ["listening", "serve"]

HOST = "127.0.0.1"


def listening(port: int = 0) -> socket.socket:
    """A socket that listens on the loopback address.

    Args:
        port: 0 takes a free one.

    Raises:
        InputError: if the port is taken, or may not be used.
        MissingExtraError: if the extra `explore`, which serves there, is not installed.
    """
    for name in ("starlette", "uvicorn"):
        if find_spec(name) is None:
            raise MissingExtraError(
                f"Expected {name}, which serves the page; it is not installed. `pip install 'equipoise[explore]'` "
                "brings it."
            )
    if not 0 <= port <= 65535:
        raise InputError(f"`port` must be 0…65535; got {port}. Leave it out for a free one.")
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((HOST, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        taken = (
            "it is taken, perhaps by another explorer" if error.errno == errno.EADDRINUSE else error.strerror
        )
        raise InputError(
            f"Expected a free `port`; got {port}: {taken}. Choose another, or leave it out for a free one."
        ) from error
    return opened


def serve(exploration: Exploration, opened: socket.socket, ready: Callable[[str], None]) -> None:
    """Answer the page until Ctrl-C.

    Args:
        exploration: What is looked at.
        opened: Where to listen, see `listening`.
        ready: Called with the address, once.
    """
    import uvicorn

    from equipoise.explore.application import application

    token, port = secrets.token_urlsafe(24), opened.getsockname()[1]
    config = uvicorn.Config(
        application(exploration, token, port),
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        ws="none",
        lifespan="off",
    )
    ready(f"http://{HOST}:{port}/{token}/")
    try:
        uvicorn.Server(config).run(sockets=[opened])
    finally:
        exploration.close()
        opened.close()
