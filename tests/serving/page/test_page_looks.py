"""How the page looks and whether everybody can use it: sizes, contrast, names; and the pictures in docs/screenshots."""

import os
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from scratch import CHECKOUT

pytestmark = pytest.mark.browser

WIDTHS = (320, 360, 390, 600, 768, 961, 1280, 1920)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def full(visit, standin, songs, add) -> Callable[..., Page]:
    """The page with everything on it: answers, a bad file, reasons, each fold open."""

    def go(**how) -> Page:
        page = visit(standin.url, **how)
        words = songs("Slow Harbour").with_name("words.txt")
        words.write_text("no music")
        add(
            page,
            songs("Slow Harbour", seconds=60),
            words,
            songs("A rather long name that has to go somewhere, live at the harbour"),
        )
        expect(page.locator('.song-row[data-status="done"]')).to_have_count(2)
        expect(page.locator(".similar-song").first).to_be_visible()
        page.locator(".why-ask button").click()
        expect(page.locator(".bands")).to_be_visible()
        for summary in page.locator("summary:visible").all():
            summary.click()
        expect(page.locator(".chain li").first).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
        return page

    return go


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


class TestSizes:
    @pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
    def test_nothing_has_to_be_scrolled_sideways(self, visit, standin, full, locale):
        empty, page = visit(standin.url, locale=locale), full(locale=locale)
        expect(empty.locator(".example").first).to_be_visible()
        found = {}
        for width in WIDTHS:
            for one, name in ((empty, "empty"), (page, "full")):
                one.set_viewport_size({"width": width, "height": 800})
                found[name, width] = overflow(one)
        assert {key: pixels for key, pixels in found.items() if pixels > 0} == {}

    @pytest.mark.parametrize("width", [360, 640, 1280])  # 640 is 1280 at twice the size
    def test_text_may_be_spaced_as_its_reader_needs_it(self, full, width):
        page = full(width=width)
        page.evaluate(
            """() => {
              const wider = new CSSStyleSheet();
              wider.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; "
                + "word-spacing: .16em !important } p { margin-bottom: 2em !important }");
              document.adoptedStyleSheets = [wider];
            }"""
        )
        assert overflow(page) <= 0

    def test_buttons_are_large_enough_for_a_thumb(self, full):
        page = full(width=390, height=844)
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, select, summary")]
              .filter((one) => one.checkVisibility() && !one.closest(".bands, .reasons, .moments"))
              .map((one) => [one.textContent || one.ariaLabel, one.getBoundingClientRect()])
              .filter(([, box]) => box.height < 24 || box.width < 24).map(([name]) => name)"""
        )
        assert small == []


def violations(page: Page) -> list[str]:
    """What axe finds, as sentences."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node['failureSummary']}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ]


class TestForEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [390, 1280])
    def test_axe_finds_nothing_on_the_full_page(self, full, scheme, width):
        assert violations(full(width=width, color_scheme=scheme)) == []

    def test_nor_in_chinese(self, full):
        assert violations(full(locale="zh-CN")) == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_nor_on_the_empty_page(self, visit, standin, scheme):
        page = visit(standin.url, color_scheme=scheme)
        expect(page.locator(".example").first).to_be_visible()
        assert violations(page) == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_nor_while_it_works_nor_when_it_failed_nor_in_a_dialog(self, visit, standin, songs, add, scheme):
        standin.delay_s = 1.5
        page = visit(standin.url, color_scheme=scheme)
        add(page, songs("abstain unlike"))
        expect(page.locator(".song-progress")).to_be_visible()
        assert violations(page) == []
        standin.delay_s = 0.0
        expect(page.locator(".verdict-title")).to_be_visible()
        assert violations(page) == []
        standin.refuse("predict", "failed")
        add(page, songs("One"))
        page.locator("#song .notice summary").click()
        assert violations(page) == []
        standin.key = "sesame"
        add(page, songs("Two"))
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page) == []

    def test_colour_is_not_the_only_sign_of_a_genre(self, full):
        page = full()
        patterns = page.locator(".legend .swatch").evaluate_all(
            "(swatches) => swatches.map((one) => getComputedStyle(one).backgroundImage)"
        )
        assert len(patterns) == len(set(patterns)) > 1

    def test_every_chart_stands_beside_its_numbers(self, full):
        page = full()
        bare = page.locator("svg.chart").evaluate_all(
            """(charts) => charts
              .filter((one) => !/\\d/.test(one.closest("li, section, .similar-liked").textContent)).length"""
        )
        assert bare == 0


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Into docs/screenshots, if that is asked for; else only tried."""
    folder = CHECKOUT / "docs" / "screenshots" if os.environ.get("EARMARK_SCREENSHOTS") == "1" else None
    page.evaluate("document.fonts.ready")
    page.mouse.move(0, 0)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png" if folder else None, full_page=whole, animations="disabled")


class TestPictures:
    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("desktop", {"width": 1280, "height": 1180}),
            ("phone", {"width": 390, "height": 1180, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}),
            ("dark", {"width": 1280, "height": 1180, "color_scheme": "dark"}),
            ("chinese", {"width": 1280, "height": 1180, "locale": "zh-CN"}),
        ],
    )
    def test_of_an_answered_song(self, visit, standin, songs, add, name, how):
        page = visit(standin.url, **how)
        add(page, songs("Slow Harbour", seconds=72))
        expect(page.locator(".verdict-title")).to_be_visible()
        expect(page.locator(".similar-song").first).to_be_visible()
        expect(page.locator(".waves svg").first).to_be_visible()
        page.locator(".why-ask button").click()
        expect(page.locator(".bands")).to_be_visible()
        page.locator(".seek").fill("30")
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        picture(page, name)

    def test_of_an_error(self, visit, standin, songs, tmp_path, add):
        page = visit(standin.url, width=1280, height=720)
        words = tmp_path / "Lyrics.txt"
        words.write_text("no music")
        add(page, songs("Slow Harbour", seconds=72), words)
        page.locator(".song-open").nth(1).click()
        page.locator("#song .notice summary").click()
        expect(page.locator("#song .notice code")).to_be_visible()
        expect(page.locator(".song-row").first).to_have_attribute("data-status", "done")
        picture(page, "error")
