"""A real Chromium on the real ASGI application: Uvicorn in a thread of the test process, on the test database."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from paid.asgi import PagesHandler
from tests.dashboard.world import World, make_world
from tests.factories.accounts import PASSWORD

CHROMIUM = "/usr/bin/chromium"
WIDE: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
# Whatever is waited for comes within moments, but where the machine has others to serve.
PATIENCE_MILLISECONDS = 60_000
START_MILLISECONDS = 180_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)


# Playwright keeps an event loop running in this thread: asyncio's tests cannot run beside it, so it ends with the
# module, and the ORM would refuse to work beside it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=START_MILLISECONDS
        )
        yield running
        running.close()


class Site(uvicorn.Server):
    """Says when it listens; leaves the process's signals alone."""

    def __init__(self) -> None:
        application = ASGIStaticFilesHandler(PagesHandler())
        super().__init__(uvicorn.Config(application, port=0, log_level="warning", lifespan="off"))
        self.is_listening = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.is_listening.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    server = Site()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.is_listening.wait(60)
    yield server.address
    server.should_exit = True
    server.force_exit = True
    thread.join(60)
    connections.close_all()


@pytest.fixture
def world(site: str) -> World:
    return make_world()


@dataclass
class Visit:
    """A page of the browser that remembers everything the browser complained about."""

    site: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def _heard(self, kind: str, text: str) -> None:
        # The browser reports each answer of 4xx; the tests that expect one look at the page instead.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(f"{kind}: {text}")

    def open(self, path: str) -> None:
        self.page.goto(self.site + path, wait_until="load")

    def sign_in(self, email: str) -> None:
        self.open("/sign-in/")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/a/**")

    def overflow_pixels(self) -> int:
        """How much wider the page is than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def patient_context(browser: Browser, **options: Any) -> BrowserContext:
    """As `browser.new_context`, and as patient as `expect` is."""
    made = browser.new_context(**options)
    made.set_default_timeout(PATIENCE_MILLISECONDS)
    return made


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = patient_context(browser, viewport=WIDE)
    yield made
    made.close()


@pytest.fixture
def visit(site: str, context: BrowserContext) -> Visit:
    return Visit(site, context.new_page())
