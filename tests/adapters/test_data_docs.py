"""The Data Docs: what a person can read of a judgement, offline, and the same again from the same catalogue."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from judging_tools import FIT, MEASURED, RULES, judged, params, row

from earmark.adapters.expectations import judging
from earmark.catalogue.judged import track_table
from earmark.catalogue.taxonomy import Taxonomy, apply_taxonomy

ROWS = [
    *FIT,
    row("<b>bad</b>", None),
    row("long", "jig", duration_s=601.0),
    row("wide", "reel", channels=6, **MEASURED),
    *[row(f"short{n}", "reel", duration_s=1.0) for n in range(9)],
]


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    judged(ROWS, folder, max_refused_share=0.9)
    return folder / "docs"


@pytest.fixture(scope="module")
def index(docs: Path) -> str:
    return (docs / "index.html").read_text()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class TestTheIndex:
    def test_it_names_every_rule_with_its_severity_and_how_many_break_it(self, index: str) -> None:
        for name in ("audio_present", "content_unique", "genre_has_groups", "artist_on_one_side", "refused_share"):
            assert f"<code>{name}</code>" in index
        assert re.search(r"duration_in_range .*? critical 10 ", text_of(index))
        assert re.search(r"mono_or_stereo .*? warning 1 ", text_of(index))
        assert re.search(r"licence_present .*? critical not judged", text_of(index))

    def test_what_was_refused_is_there_by_rule_with_examples(self, index: str) -> None:
        assert "&lt;b&gt;bad&lt;/b&gt;" in index and "<b>bad</b>" not in index
        assert "it lasts 601.00 s; needed: 3 to 600 s" in index
        assert "duration_in_range 10 · the first 5" in text_of(index)
        assert "short3" in index and "short4" not in index  # `long` is the first of the five

    def test_what_is_warned_of_is_there_with_its_track(self, index: str) -> None:
        assert re.search(r"Warnings .* mono_or_stereo 1 wide it has 6 channels", text_of(index))

    def test_each_genre_has_its_counts_by_side(self, index: str) -> None:
        found = re.search(r"reel ([\d.]+) (\d+) (\d+) (\d+) ([\d.]+) (\d+) (\d+) (\d+) ", text_of(index))
        assert found
        tracks, refused, artists, groups, _, *sides = (float(number) for number in found.groups())
        assert (tracks, refused, artists, groups) == (5, 9, 5, 5)
        assert sum(sides) == 5 and min(sides) >= 1

    def test_measures_are_drawn_where_there_are_any(self, index: str) -> None:
        said = text_of(index)
        assert index.count("<svg") == 4
        assert "Loudness in LUFS -14 … median -14 … -14 · 19 not measured" in said
        assert re.search(r"Duration in s 1 … median 12 … 601 ", said)

    def test_names_that_the_taxonomy_does_not_know_are_listed(self, tmp_path: Path) -> None:
        tracks, names = apply_taxonomy(Taxonomy(genres={"reel": "reel"}), pd.DataFrame(FIT))
        judging(RULES, params())(track_table(tracks), names, tmp_path)
        said = text_of((tmp_path / "index.html").read_text())
        assert "1 of 2 names have a genre" in said and re.search(r"Name Source As Tracks jig folder genre 4 ", said)

    def test_a_verdict_that_fails_the_stage_stands_first(self, tmp_path: Path) -> None:
        judged(FIT[:4], tmp_path)
        said = text_of((tmp_path / "docs/index.html").read_text())
        assert "catalogue Not fit to learn from Genres left: 1; needed: at least 2. 4 tracks judged" in said


class TestGreatExpectationsOwn:
    def test_its_pages_have_values_tracks_notes_and_severity(self, docs: Path) -> None:
        results = text_of((docs / "validations/tracks.html").read_text())
        assert re.search(r"601\.0 1 long", results)
        suite = text_of((docs / "expectations/tracks.html").read_text())
        assert "duration_in_range" in suite and "critical" in suite
        assert "greater than or equal to min_duration_s" in suite and "PARAMETER" not in suite

    def test_its_results_are_there_as_json_with_few_offenders_and_no_times(self, docs: Path) -> None:
        content = (docs / "results/tracks.json").read_text()
        results = json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        by_name = {one["expectation_config"]["meta"]["name"]: one for one in results["results"]}
        duration = by_name["duration_in_range"]
        assert duration["result"]["unexpected_count"] == 10 and not duration["success"]
        assert duration["result"]["unexpected_index_list"][0] == "long"
        assert duration["expectation_config"]["kwargs"]["min_value"] == 3.0
        assert results["statistics"]["evaluated_expectations"] == len(by_name)
        assert not re.search(r"\d{4}-\d\d-\d\d|\d{8}T\d|[0-9a-f]{8}-[0-9a-f]{4}-", content)

    def test_pages_do_not_grow_with_the_number_of_offenders(self, tmp_path: Path) -> None:
        sizes = []
        for count in (50, 500):
            judged([*FIT, *[row(f"s{n:03}", "reel", duration_s=1.0) for n in range(count)]], tmp_path)
            sizes.append(sum(page.stat().st_size for page in (tmp_path / "docs").rglob("*.*")))
        assert sizes[1] < sizes[0] * 1.02


class TestTheSite:
    def test_no_page_fetches_anything_from_a_network_and_every_link_leads_somewhere(self, docs: Path) -> None:
        pages = list(docs.rglob("*.html"))
        assert len(pages) == 9
        for page in pages:
            text = page.read_text()
            assert "<script" not in text
            for link in re.findall(r'(?:href|src)="([^"#]+)', text):
                assert not link.startswith(("http", "//")), f"{page.name} leads to {link}"
                assert (page.parent / link).exists(), f"{page.name} leads to {link}"

    def test_equal_catalogues_give_equal_pages(self, docs: Path, tmp_path: Path) -> None:
        judged(ROWS, tmp_path, max_refused_share=0.9)
        assert {page.relative_to(docs) for page in docs.rglob("*.*")} == {
            page.relative_to(tmp_path / "docs") for page in (tmp_path / "docs").rglob("*.*")
        }
        for page in docs.rglob("*.*"):
            assert page.read_bytes() == (tmp_path / "docs" / page.relative_to(docs)).read_bytes(), page

    def test_what_lay_there_before_is_gone(self, tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/old.html").write_text("old")
        judged(FIT, tmp_path)
        assert not (tmp_path / "docs/old.html").exists()
