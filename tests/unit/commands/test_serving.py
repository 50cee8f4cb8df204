"""Who may ask the two servers of ``capla ui``, and for what; as a browser or an attacker would send it."""

import asyncio
import json

import pytest
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

from capla_etl import paths
from capla_etl.commands.serving import PagesServer, allowed_names, pages_app
from capla_etl.commands.webserver import Guarded

OPENED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def ask(app, path: str, method: str = "GET", kind: str = "http", body: bytes = b"", query: str = "", **headers: str):
    """Send a request to an app: (status, headers, text). A websocket that is accepted has status 101."""
    headers = {"host": "127.0.0.1:3000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 3000),
        "extensions": {"websocket.http.response": {}},
        "subprotocols": ["graphql-ws"],
    }
    scope |= {"method": method} if kind == "http" else {}
    asked = [{"type": "http.request", "body": body}] if kind == "http" else [{"type": "websocket.connect"}]
    sent = []

    async def receive():
        if not asked and kind == "http":
            await asyncio.Event().wait()  # the browser waits for the answer
        return asked.pop(0) if asked else {"type": "websocket.disconnect", "code": 1000}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if sent[0]["type"] == "websocket.accept":
        return 101, {}, ""
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(m.get("body", b"") for m in sent[1:]).decode(errors="replace")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A published report and outputs, next to what is not published."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    for place in (paths.report(), paths.data_docs() / "index.html", paths.published_database()):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("page of the study")
    paths.outputs().mkdir()
    (paths.outputs() / "way_out").symlink_to(paths.published_database())
    return pages_app()


def graphql(app, text: str, **headers: str):
    body = json.dumps({"query": text}).encode()
    return ask(app, "/graphql", "POST", body=body, content_type="application/json", **headers)


@pytest.fixture(scope="module", params=[False, True], ids=["for workers", "read-only"])
def dagster(request, tmp_path_factory):
    """Dagster's webserver without definitions."""
    with (
        DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), version="", read_only=request.param) as context,
    ):
        yield Guarded(context).create_asgi_app()


def test_published_pages_are_served_and_kept_nowhere(published):
    status, headers, text = ask(published, "/report.html")
    assert (status, text) == (200, "page of the study")
    assert headers["cache-control"] == "no-store" and headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert ask(published, "/data_docs/")[0] == 200
    assert ask(published, "/favicon.ico")[0] == 204


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/capla.duckdb",
        "/build/capla.duckdb",
        "/outputs/../capla.duckdb",
        "/../warehouse/capla.duckdb",
        "/outputs/..\\capla.duckdb",
        "/report.html/../capla.duckdb",
        "//etc/passwd",
        "/outputs//etc/passwd",
        "/outputs/\0",
        "/outputs/way_out",
        "/outputs/" + "x" * 300,
    ],
)
def test_nothing_else_of_the_folder_or_the_machine_is_served(published, path):
    assert ask(published, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_name_that_was_not_declared_is_refused(published, dagster, host):
    for app, path in ((published, "/report.html"), (dagster, "/server_info")):
        assert ask(app, path, host=host)[0] == 400
    assert ask(dagster, "/graphql", kind="websocket", host=host)[0] == 400


def test_a_declared_name_is_answered(published, monkeypatch):
    proxied = {"host": "capla.hospital.example:8443", "origin": "https://capla.hospital.example:8443"}
    assert ask(published, "/report.html", **proxied)[0] == 400
    monkeypatch.setenv("CAPLA_HOSTS", "other.example, capla.hospital.example")
    assert ask(pages_app(), "/report.html", **proxied)[0] == 200


@pytest.mark.parametrize("names", ["*", "*.example", "https://capla.example", "capla.example:8443", "a b"])
def test_what_is_no_name_of_a_host_is_said(monkeypatch, names):
    monkeypatch.setenv("CAPLA_HOSTS", names)
    with pytest.raises(ValueError, match="CAPLA_HOSTS has .*expected names of hosts"):
        allowed_names()


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3001"},  # the pages may not steer Dagster
        {"origin": "http://127.0.0.1:3000.evil.example"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        OPENED | {"sec-fetch-dest": "iframe"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_gets_and_changes_nothing(published, dagster, foreign):
    assert ask(published, "/report.html", **foreign)[0] == 403
    assert graphql(dagster, "{version}", **foreign)[0] == 403
    assert ask(dagster, "/report_asset_materialization/a", "POST", **foreign)[0] == 403
    assert ask(dagster, "/graphql", kind="websocket", **foreign)[0] == 403


def test_a_link_from_elsewhere_opens_a_page_and_sends_no_form(published, dagster):
    assert ask(published, "/report.html", **OPENED)[0] == 200
    assert ask(dagster, "/graphql", "POST", query="query={version}", **OPENED)[0] == 403


def test_dagsters_own_pages_are_answered(dagster):
    own = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}
    assert graphql(dagster, "{version}", **own)[0] == 200
    assert graphql(dagster, "{version}")[0] == 200  # no browser
    assert ask(dagster, "/graphql", kind="websocket", **own)[0] == 101


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_graphql_is_not_answered_by_get(dagster, method, accept):
    status, headers, _ = ask(dagster, "/graphql", method, query="query=mutation{setNuxSeen}", accept=accept)
    assert (status, headers["allow"]) == (405, "POST")


def test_a_path_that_leads_out_of_dagsters_logs_is_not_found(dagster):
    assert ask(dagster, "/logs/../../dagster/yaml")[0] == 404


def test_viewers_change_nothing(dagster, request):
    read_only = request.node.callspec.params["dagster"]
    for mutation in ("mutation{setNuxSeen}", "query a{version} mutation b{reloadWorkspace{__typename}}"):
        status, _, text = graphql(dagster, mutation)
        assert ("this server is read-only" in text) is read_only and (status == 400 or not read_only)
    assert graphql(dagster, "{version}")[0] == 200


def test_a_port_that_is_taken_is_an_error(published):
    first = PagesServer(0)
    port = first.port
    try:
        with pytest.raises(OSError):
            PagesServer(port)
    finally:
        first.shutdown()
