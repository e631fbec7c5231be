"""Files of a model hub: from its cache, by its own download, or an error that says how to bring them."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from equipoise.errors import DataError, EquipoiseError
from equipoise.failures import refused

__all__ = ["reaching_hub"]


@contextmanager
def reaching_hub(name: str, advice: str) -> Iterator[None]:
    """Inside, libraries that load from the hub do; where it cannot be reached they look into its cache at once.

    Args:
        name: What is loaded.
        advice: How to bring its files.

    Raises:
        DataError: if they are neither there nor to be had.
    """
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, EquipoiseError) or refused(error):  # told already
            raise
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        away = " The hub cannot be reached from here." if constants.HF_HUB_OFFLINE else ""
        raise DataError(
            f"Expected the files of {name}; got: {told.rstrip('.'):.300}.{away} {advice}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def _reachable(endpoint: str) -> bool:
    """Whether the hub's name is known here: without, its client would try again for half a minute."""
    address = urlsplit(endpoint)
    if urllib.request.getproxies().get(address.scheme):
        return True
    try:
        socket.getaddrinfo(address.hostname, address.port or 443)
    except OSError:
        return False
    return True
