"""Debian's Chromium before the console of a real stack, and who sits in front of it.

A page that says anything on its console, or breaks the policy about scripts, fails its test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from running import RunningStack

CHROMIUM = "/usr/bin/chromium"
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
ANSWER_MS = 20_000
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# What the report shows; the others are looked at by axe alone.
KEPT = {
    "sign-in-desktop-en",
    "campaign-new-desktop-en",
    "confirm-desktop-en",
    "drop-live-desktop-en",
    "drops-desktop-en",
    "dead-letters-desktop-en",
    "redrive-dry-run-desktop-en",
    "person-desktop-en",
    "drop-desktop-dark-ko",
    "health-desktop-dark-ko",
    "drops-phone-ko",
    "person-phone-dark-en",
    "dead-letter-phone-ko",
    "drop-phone-dark-en",
}

expect.set_options(timeout=ANSWER_MS)


@dataclass
class Desk:
    """One operator's browser window."""

    page: Page
    stack: RunningStack
    shots: Path
    said: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(self.stack.urls["console"] + path)
        return self.page

    def sign_in(self, name: str = "minji") -> Page:
        """Sign in with the stack's key, as `firstcome up` says."""
        page = self.open("/sign-in")
        page.fill("#name", name)
        page.fill("#key", self.stack.settings["console"]["operator_key"])
        page.press("#key", "Enter")
        page.wait_for_url("**/drops")
        return page

    def shoot(self, name: str) -> None:
        """Keep what the window shows, if the report wants it."""
        if name in KEPT:
            self.page.screenshot(path=self.shots / f"{name}.png")

    def faults(self) -> list[str]:
        """Return what axe finds wrong for people who see, hear or point differently."""
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
            for each in found
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a screen."""
    if shutil.which(CHROMIUM) is None:
        pytest.fail("chromium is missing, so no page can be seen: apt-get install chromium")
    with sync_playwright() as driver:
        # Root has no sandbox of his own; every page is ours.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: FIRSTCOME_SCREENSHOTS, else nowhere that stays."""
    named = os.environ.get("FIRSTCOME_SCREENSHOTS")
    folder = Path(named).absolute() if named else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def seat(browser: Browser, stack: RunningStack, shots: Path) -> Iterator[Callable[..., Desk]]:
    """What opens a window: phone or not, dark or not, in a language."""
    contexts: list[BrowserContext] = []
    desks: list[Desk] = []

    def take(
        language: str = "en-US", *, phone: bool = False, dark: bool = False, **more: Any
    ) -> Desk:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            locale=language,
            timezone_id="Asia/Seoul",
            **more,
        )
        context.set_default_timeout(ANSWER_MS)
        desk = Desk(context.new_page(), stack, shots)
        desk.page.on("console", lambda line: _note(desk, line.type, line.text))
        desk.page.on("pageerror", lambda error: desk.said.append(str(error)))
        contexts.append(context)
        desks.append(desk)
        return desk

    yield take
    for context in contexts:
        context.close()
    assert [desk.said for desk in desks if desk.said] == []


@pytest.fixture
def desk(seat: Callable[..., Desk]) -> Desk:
    """A window in English, its operator signed in."""
    desk = seat()
    desk.sign_in()
    return desk


def _note(desk: Desk, kind: str, text: str) -> None:
    # An answer of 4xx is told as an error by Chromium, though a page may expect it.
    if kind in ("error", "warning") and "the server responded with a status of 4" not in text:
        desk.said.append(text)
