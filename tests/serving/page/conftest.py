"""A browser, the page, and what must hold in every test: no other host is asked, no policy broken, no script fails."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import page_standin
import pytest
from page_standin import StandIn
from playwright.sync_api import Browser, Page, sync_playwright

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    # A microphone that beeps, and a person who allows it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def _standin() -> Iterator[StandIn]:
    with page_standin.running() as running:
        yield running


@pytest.fixture
def standin(_standin: StandIn) -> StandIn:
    """The stand-in, with all switches off."""
    _standin.reset()
    return _standin


@pytest.fixture
def page_url(request: pytest.FixtureRequest) -> str:
    """Where journeys begin: at the real service; with EARMARK_PAGE=standin, to be quick, at the stand-in."""
    if os.environ.get("EARMARK_PAGE") == "standin":
        return str(request.getfixturevalue("standin").url)
    return str(request.getfixturevalue("served").client.base_url).rstrip("/") + "/"


@dataclass
class Watched:
    """What pages did that they must not do."""

    pages: list[Page] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """``visit(url, width=1280, locale="en-GB", …)``: a fresh page there, watched until the test ends."""
    watched = Watched()
    contexts = []

    def go(url: str, *, width: int = 1280, height: int = 900, script: str = "", **how: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **({"locale": "en-GB"} | how))
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.add_init_script(LISTEN + script)
        page.on("request", lambda request: watched.asked.append(request.url))
        page.on("pageerror", lambda error: watched.failed.append(str(error)))
        page.goto(url)
        watched.pages.append(page)
        watched.hosts.add(url.split("/")[2])
        return page

    yield go
    for page in watched.pages:
        assert page.evaluate("window.violations") == [], "the Content-Security-Policy was broken"
    asked = [url for url in watched.asked if not url.startswith(("data:", "blob:"))]
    assert [url for url in asked if url.split("/")[2] not in watched.hosts] == [], "another host was asked"
    assert watched.failed == [], "a script failed"
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``songs("name", seconds=12)``: a song under that name, made by code."""
    folder = tmp_path_factory.mktemp("songs")

    def make(name: str, *, seconds: float = 12.0, seed: int = 1) -> Path:
        path = folder / f"{seconds}-{seed}" / f"{name}.wav"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(page_standin.song(seconds, seed=seed))
        return path

    return make


@pytest.fixture
def add() -> Callable[..., None]:
    """``add(page, path, …)``: choose these files, as by the button."""

    def choose(page: Page, *paths: Path) -> None:
        page.set_input_files("#files", list(paths))

    return choose
