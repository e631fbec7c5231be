"""The page's server as an ASGI application: a few addresses below a token, each answered by `Exploration`."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.explore.exploration import Exploration
from equipoise.explore.pictures import SIZES
from equipoise.pictures.unreadable import Unreadable
from equipoise.shown import one_line

__all__ = ["application"]

PAGE = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MOST_BYTES = 64 << 20  # of a selection
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def application(exploration: Exploration, token: str, port: int) -> ASGIApp:
    """The application.

    Args:
        exploration: What is looked at.
        token: Every address begins with it.
        port: Where it listens on this machine; requests to another host or from another origin are refused.
    """
    answers = _Answers(exploration)
    routes = [
        Route(f"/{token}/about", answers.about),
        Route(f"/{token}/status", answers.status),
        Route(f"/{token}/column", answers.column),
        Route(f"/{token}/map", answers.map),
        Route(f"/{token}/umap", answers.umap),
        Route(f"/{token}/row/{{row:int}}", answers.row),
        Route(f"/{token}/near/{{row:int}}", answers.near),
        Route(f"/{token}/picture/{{row:int}}", answers.picture),
        Route(f"/{token}/save", answers.save, methods=["POST"]),
        Route(f"/{token}/", _page),
        Route(f"/{token}/{{name}}", _page),
    ]
    handlers: Any = {EquipoiseError: _refused, Unreadable: _unreadable}
    return _Guard(Starlette(routes=routes, exception_handlers=handlers), token, port)


class _Answers:
    """An address each. Those that compute are plain functions, which the framework runs in threads."""

    def __init__(self, exploration: Exploration) -> None:
        self.exploration = exploration

    def about(self, _: Request) -> Response:
        self.exploration.refresh()
        return JSONResponse(self.exploration.about())

    def status(self, _: Request) -> Response:
        return JSONResponse(self.exploration.status())

    def column(self, request: Request) -> Response:
        asked = request.query_params
        return _block(self.exploration.block(asked.get("name", ""), ranked="ranked" in asked))

    def map(self, request: Request) -> Response:
        asked = request.query_params
        return _block(self.exploration.map(asked.get("name", ""), asked.get("by", "pca")))

    def umap(self, request: Request) -> Response:
        return JSONResponse(self.exploration.umaps.said(request.query_params.get("name", "")))

    def row(self, request: Request) -> Response:
        return JSONResponse(self.exploration.row(request.path_params["row"]))

    def near(self, request: Request) -> Response:
        return JSONResponse(self.exploration.near(request.path_params["row"]))

    def picture(self, request: Request) -> Response:
        row, size = request.path_params["row"], request.query_params.get("size", str(SIZES[0]))
        self.exploration.check(row)
        if size not in map(str, SIZES):
            raise InputError(f"Expected a size of {' or '.join(map(str, SIZES))}; got {size!r}.")
        if not self.exploration.pictures.ready.is_set():
            return JSONResponse({"error": "Pictures are being looked for."}, 503)
        found = self.exploration.pictures.small(row, int(size))
        return Response(found, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def save(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise InputError("Expected application/json; got another type.")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise InputError(f"Expected at most {MOST_BYTES:,} bytes; got more.")
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError("Expected JSON; got something else.") from error
        if not isinstance(asked, dict):
            raise InputError("Expected an object; got something else.")
        return JSONResponse(await run_in_threadpool(self.exploration.save, asked))


def _block(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")


def _page(request: Request) -> Response:
    """A file of the page, by its name: of a list, never by a path."""
    name = request.path_params.get("name", "index.html")
    known = {one.name: one for one in PAGE.iterdir() if one.suffix in KINDS}
    if name not in known:
        return JSONResponse({"error": "There is nothing here."}, 404)
    return Response(known[name].read_bytes(), media_type=KINDS[known[name].suffix])


def _refused(_: Request, error: Exception) -> Response:
    status = 500 if isinstance(error, DataError) else 400
    return JSONResponse({"error": one_line(str(error))}, status)


def _unreadable(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": one_line(f"The picture cannot be shown: {error}.")}, 404)


class _Guard:
    """Nobody but the page itself is answered: its token, its host, its origin; and it may load nothing else."""

    def __init__(self, inner: ASGIApp, token: str, port: int) -> None:
        self.inner, self.token = inner, token
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name.lower() for name, _ in message["headers"]}
                more = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *((k, v) for k, v in more if k not in had)]
            await send(message)

        refusal = self._refusal(scope)
        inner = self.inner if refusal is None else JSONResponse({"error": refusal}, 403)
        await inner(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is not answered; None if it is."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in (b"host", b"origin") and name in headers:
                return "A request has one host and one origin."
            headers[name] = value
        host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if host not in self.hosts:
            return "This page is only at 127.0.0.1."
        if (origin or scope["method"] == "POST") and origin not in {f"http://{one}" for one in self.hosts}:
            return "This page is only for itself."
        first = str(scope["path"]).lstrip("/").partition("/")[0]
        if not hmac.compare_digest(first.encode(), self.token.encode()):
            return "The address lacks its token: open the one that was printed."
        return None
