"""What a person sees, in a real browser. `.ci/run` brings Debian's Chromium and asks for these: pytest -m browser."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

pytestmark = pytest.mark.browser

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield launched
        launched.close()


class TestInterfacePage:
    def test_it_shows_the_endpoint_and_asks_no_other_host(self, browser, served):
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(str(served.client.base_url))
        expect(page.get_by_text("/predict", exact=True).first).to_be_visible()
        own = str(served.client.base_url).rstrip("/")
        assert asked and all(url.startswith((own, "data:", "blob:")) for url in asked)

    def test_a_song_sent_from_the_page_is_answered(self, browser, served, recordings, tmp_path):
        song = tmp_path / "song.mp3"
        song.write_bytes(recordings["mp3"])
        page = browser.new_page()
        page.goto(str(served.client.base_url))
        page.get_by_text("/predict", exact=True).first.click()
        page.get_by_role("button", name="Try it out").click()
        page.locator("input[type=file]").set_input_files(song)
        page.get_by_role("button", name="Execute").click()
        expect(page.get_by_text('"version": "7"').first).to_be_visible(timeout=30_000)
