"""The page's files by themselves, without a browser: both languages say the same, and nothing is missing or foreign."""

import re
from pathlib import Path

import pytest

import earmark.serving
from earmark.serving.errors import KINDS

PAGE = Path(next(iter(earmark.serving.__path__))) / "page"
MODULES = sorted(path for path in PAGE.glob("*.js") if path.name not in {"en.js", "zh.js"})
COMING = {"unauthorized", "forbidden", "rate_limited", "outdated", "unknown_prediction", "no_network", "overloaded"}


def texts(language: str) -> dict[str, str]:
    """Key → text, or the source of the object of plural forms."""
    source = (PAGE / f"{language}.js").read_text()
    found = re.findall(r'^  (\w+|"[^"]+"):\s+(.*?),$(?!\n    )', source, re.M | re.S)
    return {key.strip('"'): text for key, text in found}


def used() -> set[str]:
    """Keys that the page's files name in full."""
    found = set()
    for path in MODULES:
        found |= set(re.findall(r'\bt\(\s*"([^"]+)"', path.read_text()))
    html = (PAGE / "index.html").read_text()
    return found | set(re.findall(r'data-i18n(?:-label)?="([^"]+)"', html))


class TestBothLanguages:
    def test_they_have_the_same_keys(self):
        english, chinese = texts("en"), texts("zh")
        assert len(english) > 300
        assert english.keys() ^ chinese.keys() == set()

    def test_they_fill_in_the_same_values(self):
        english, chinese = texts("en"), texts("zh")
        holes = {key: (_holes(english[key]), _holes(chinese[key])) for key in english}
        # A plural form in Chinese is one sentence; each value of the English ones has to appear in it.
        assert {key: both for key, both in holes.items() if both[0] != both[1]} == {}

    def test_nothing_is_left_in_english(self):
        words = {key: re.sub(r"\{\w+\}", "", text) for key, text in texts("zh").items()}
        assert {
            key for key, text in words.items() if texts("zh")[key] == texts("en")[key] and re.search("[a-z]{4}", text)
        } == set()

    def test_every_text_that_is_asked_for_exists(self):
        assert used() - texts("en").keys() == set()

    def test_every_way_of_refusing_has_words(self):
        assert {f"error.{code}" for code in KINDS.keys() | COMING} - texts("en").keys() == set()


def _holes(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


class TestFiles:
    def test_each_module_opens_by_saying_what_it_is_for(self):
        silent = [path.name for path in PAGE.glob("*.js") if not path.read_text().startswith("// ")]
        assert silent == []

    def test_each_module_is_fetched_ahead(self):
        ahead = set(re.findall(r'modulepreload" href="page/([\w.]+)"', (PAGE / "index.html").read_text()))
        apart = {"app.js", "first.js", "openapi.js"}  # in tags of their own
        assert {path.name for path in PAGE.glob("*.js")} - apart == ahead

    @pytest.mark.parametrize("name", ["index.html", "api.html"])
    def test_pages_hold_no_script_and_no_style_of_their_own(self, name):
        html = (PAGE / name).read_text()
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", html) == []

    def test_no_data_becomes_markup(self):
        sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
        assert [path.name for path in MODULES if re.search(sinks, path.read_text())] == []

    def test_nothing_is_asked_of_other_hosts(self):
        urls = {url for path in PAGE.iterdir() for url in re.findall(r"https?://[^\s\"'`)]+", path.read_text())}
        assert urls <= {"http://www.w3.org/2000/svg"}  # a name, not an address
