"""What both servers of ``capla ui`` share: who may ask, and for what.

A browser sends requests for every page that is open in it, also to this machine. So the servers answer only to declared
names (another name is DNS rebinding), and never to a page of another origin.

What does not belong here: when the servers start and end (ui.py), and who a person is (a reverse proxy, SERVERS.md).
"""

import os
import re
import socket
import threading
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capla_etl import paths

HOST = "127.0.0.1"
#: Names of this machine under which a reverse proxy serves both, with commas.
NAMES_VARIABLE = "CAPLA_HOSTS"
#: No page of another origin may show an answer in a frame or load it, and no browser may guess its kind.
_CLOSED = {
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def allowed_names() -> list[str]:
    """The names to which the servers answer: this machine's own, and those of ``CAPLA_HOSTS``.

    Raises:
        ValueError: one of them is no name of a host.
    """
    declared = [name.strip() for name in os.environ.get(NAMES_VARIABLE, "").split(",") if name.strip()]
    for name in declared:
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", name):
            raise ValueError(
                f"{NAMES_VARIABLE} has {name!r}; expected names of hosts without port or *, separated by commas, such "
                "as capla.hospital.example."
            )
    return [HOST, "localhost", *declared]


def guard() -> list[Middleware]:
    """Starlette's check of the Host header, then that of the origin."""
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=allowed_names(), www_redirect=False),
        Middleware(OwnOriginOnly),
    ]


class OwnOriginOnly:
    """Refuse what a page of another origin asks for, also by websocket, and GraphQL by GET.

    A link from elsewhere may open a page. A browser states the origin of every request that can change something; a
    request without one is no browser's.

    Source:
        https://www.w3.org/TR/fetch-metadata/ (Resource Isolation Policy).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif refused := _refusal(scope):
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, _closed(send))


def _refusal(scope: Scope) -> PlainTextResponse | None:
    """What a request is refused with; None: it is answered."""
    headers, method = Headers(scope=scope), scope.get("method")
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return PlainTextResponse("Refused: a page of another origin asks for this.", 403)
    opens_page = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not opens_page:
        return PlainTextResponse("Refused: a page of another site asks for this.", 403)
    if method not in (None, "POST") and scope["path"] == "/graphql" and scope["query_string"]:
        return PlainTextResponse("Refused: GraphQL is answered by POST only.", 405, {"Allow": "POST"})
    if ".." in scope["path"].split("/"):  # Dagster refuses these too, with a trace in its log
        return PlainTextResponse("Not Found", 404)
    return None


def _closed(send: Send) -> Send:
    async def closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_CLOSED)
        await send(message)

    return closed


# ---------------------------------------------------------------- the published pages


class _PublishedPages(StaticFiles):
    """Published pages and nothing else of the warehouse folder; looked up at every request, as runs replace them."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find the file of an address, below the published pages only, also if links lead elsewhere."""
        first, _, rest = path.partition(os.sep)
        published = paths.pages().get(first)
        if published is None:
            return "", None
        whole = published.resolve()
        found = (whole / rest).resolve() if rest else whole
        if found != whole and whole not in found.parents:
            return "", None
        try:
            return str(found), found.stat()
        except (FileNotFoundError, NotADirectoryError):
            return "", None

    def file_response(
        self, full_path: str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Serve a page; no browser or proxy may keep a copy of it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-store"
        return response


def pages_app() -> Starlette:
    """The published pages, below their own names, guarded."""
    no_icon = Route("/favicon.ico", lambda _: Response(status_code=204))  # browsers request one at every address
    return Starlette(routes=[no_icon, Mount("/", _PublishedPages(html=True))], middleware=guard())


class PagesServer:
    """A server of the published pages in the background, on this machine only.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int) -> None:
        listening = socket.create_server((HOST, port))
        self.port = listening.getsockname()[1]
        # addresses may name a centre, so none is logged
        self._server = uvicorn.Server(uvicorn.Config(pages_app(), log_level="error", access_log=False))
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join()
