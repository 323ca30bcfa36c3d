"""A server with a few studies, and a browser: Debian's Chromium, driven by Playwright.

Both are made once for all tests of a module, and end with it: Playwright keeps an event loop of its own, which other
tests' loops would run into, and what a server goes on to do, other tests would take for what they look at. The studies
are trained by a scripted worker, without torch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hippo_core.engine.decision import EngineSettings
from hippo_wire.connection import Connection
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.browser.studies import make_studies
from tests.integration.server.conftest import RunningServer, upload
from tests.waiting import until

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: No worker is lost for want of heartbeats while a test looks at pages.
SETTINGS = EngineSettings(heartbeat_seconds=0.1, lease_seconds=3600.0)

WATCH_STYLES = """
document.addEventListener("securitypolicyviolation", (event) => console.error("CSP", event.violatedDirective));
"""


@dataclass
class Tab:
    """A page, and what went wrong on it.

    Attributes:
        page: Playwright's.
        url: Of the server.
        wrong: Errors on the console, requests that failed, and those that left the server.
    """

    page: playwright_api.Page
    url: str
    wrong: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)  #: statuses that are no fault here

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def go(self, path: str) -> None:
        """Opens a page of the server."""
        self.page.goto(self.url + path)

    def _heard(self, message: playwright_api.ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"console: {message.text}")

    def _failed(self, request: playwright_api.Request) -> None:
        # A page that is left takes its stream and its fetches with it.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def _asked(self, request: playwright_api.Request) -> None:
        address = urlsplit(request.url)
        if address.scheme != "data" and f"{address.scheme}://{address.netloc}" != self.url:
            self.wrong.append(f"elsewhere: {request.url}")

    def _answered(self, response: playwright_api.Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.wrong.append(f"status {response.status}: {response.url}")


class Desk:
    """The server with its studies, and browsers that are logged in to it."""

    def __init__(self, server: RunningServer, browser: playwright_api.Browser) -> None:
        self.server = server
        self.client: Connection = server.connect()
        self._browser = browser

    @contextlib.contextmanager
    def tab(self, role: str = "admin", **options: object) -> Iterator[Tab]:
        """A new browser with one page, logged in.

        Args:
            role: Of the token on whose behalf it is; empty: it is not logged in.
            options: Of Playwright's context, e.g. ``java_script_enabled``, ``color_scheme``, ``viewport``.
        """
        context = self._browser.new_context(**options)
        context.add_init_script(WATCH_STYLES)
        try:
            context.set_default_timeout(60_000)
            tab = Tab(context.new_page(), self.server.url)
            if role:
                tab.go(self.link(role))
                if options.get("java_script_enabled") is False:
                    tab.page.click("text=Open the dashboard")
                tab.page.wait_for_url(self.server.url + "/")
            yield tab
        finally:
            context.close()

    def until_ready(self) -> None:
        """Waits for the server to have begun a term."""
        until(lambda: self.server.server.driver.ready, "a new term")

    def link(self, role: str) -> str:
        """The path of a link that logs in."""
        secret = new_secret()
        connection = self.client if role == "admin" else self.server.connect(self.server.token(role))
        request = admin_pb2.CreateLoginLinkRequest(secret_hash=secret_hash(secret))
        connection.admin.CreateLoginLink(request)
        return f"/login?link={secret}&to=/"


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright_api.Browser]:
    """Debian's Chromium. Not for longer than a module: while it is there, an event loop runs in the main thread."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def studies_server(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[str], str], database_template: str
) -> Iterator[RunningServer]:
    """The server and its studies."""
    home = tmp_path_factory.mktemp("browser") / "home"
    server = RunningServer(home, new_database(database_template), engine=SETTINGS)
    try:
        client = server.connect()
        upload(client)
        with make_studies(server, client):
            yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def desk(browser: playwright_api.Browser, studies_server: RunningServer) -> Desk:
    """The server, its studies, and the browser."""
    return Desk(studies_server, browser)


@pytest.fixture
def screenshots() -> Path | None:
    """Where pictures of pages go, for whoever wants to look at them: ``HIPPO_SCREENSHOTS``; None: nowhere."""
    folder = os.environ.get("HIPPO_SCREENSHOTS")
    return None if folder is None else Path(folder)


def get_study(client: Connection, name: str) -> study_pb2.Study:
    """A study as the server tells it."""
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study
