"""Great Expectations as judge: each rule finds its row and no other, and the Data Docs can be read offline."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from earmark.adapters.expectations import judge
from earmark.params import Validation
from earmark.stages.validate import Judgement

LIMITS = Validation(
    min_duration_s=3.0,
    max_duration_s=600.0,
    min_sample_rate_hz=8000,
    min_tracks_per_genre=4,
    min_groups_per_genre=2,
    max_refused_share=0.5,
)


def row(name: str, genre: str | None, **changed: Any) -> dict[str, Any]:
    return {
        "track_id": name,
        "path": f"data/collections/mine/audio/{name}",
        "content_hash": hashlib.sha256(name.encode()).hexdigest(),
        "duration_s": 12.0,
        "sample_rate_hz": 22050,
        "channels": 1,
        "codec": "flac",
        "source": "folder",
        "group": f"group of {name}",
        "genre": genre,
        "tags": (),
        "title": None,
        "artist": "somebody",
        "album": None,
        "isrc": None,
        "licence": None,
        "split": None,
        "audio_bytes": 1000,
    } | changed


FIT = [row(f"{genre}{n}", genre) for genre in ("reel", "jig") for n in range(4)]


def judged(rows: list[dict[str, Any]], tmp_path: Path, limits: Validation = LIMITS) -> Judgement:
    return judge(pd.DataFrame(rows), limits, tmp_path / "docs")


def refusals(judgement: Judgement) -> set[tuple[str, str]]:
    return set(zip(judgement.quarantine["track_id"], judgement.quarantine["rule"], strict=True))


class TestRowRules:
    def test_a_fit_catalogue_passes_every_rule(self, tmp_path: Path) -> None:
        judgement = judged(FIT, tmp_path)
        assert judgement.accepted.all()
        assert judgement.quarantine.empty
        assert judgement.problems == ()
        assert all(rule.success and rule.unexpected == 0 for rule in judgement.rules.values())

    def test_each_rule_refuses_its_own_offender_and_says_what_was_found(self, tmp_path: Path) -> None:
        offenders = [
            row("absent", "reel", audio_bytes=0),
            row("nameless", None),
            row("blank", "  "),
            row("orphan", "reel", group=""),
            row("short", "reel", duration_s=2.99),
            row("long", "reel", duration_s=600.01),
            row("unmeasured", "reel", duration_s=float("nan")),
            row("coarse", "reel", sample_rate_hz=7999),
            row("unhashed", "reel", content_hash="beef"),
            row("missplit", "reel", split="dev"),
        ]
        limits = Validation(**{**vars(LIMITS), "max_refused_share": 0.9})
        judgement = judged(FIT + offenders, tmp_path, limits)
        assert refusals(judgement) == {
            ("absent", "audio_present"),
            ("nameless", "genre_present"),
            ("blank", "genre_present"),
            ("orphan", "group_present"),
            ("short", "duration_in_range"),
            ("long", "duration_in_range"),
            ("unmeasured", "duration_in_range"),
            ("coarse", "sample_rate_enough"),
            ("unhashed", "hash_present"),
            ("missplit", "split_known"),
        }
        reasons = dict(zip(judgement.quarantine["track_id"], judgement.quarantine["reason"], strict=True))
        assert reasons["short"] == "it lasts 2.99 s; needed: 3 to 600 s"
        assert reasons["coarse"] == "its sample rate is 7999 Hz; needed: at least 8000 Hz"
        assert "data/collections/mine/audio/absent" in reasons["absent"]
        assert list(judgement.accepted) == [True] * len(FIT) + [False] * len(offenders)

    def test_limits_themselves_are_within_the_limits(self, tmp_path: Path) -> None:
        edges = [
            row("e1", "reel", duration_s=3.0),
            row("e2", "reel", duration_s=600.0),
            row("e3", "jig", sample_rate_hz=8000),
        ]
        assert judged(FIT + edges, tmp_path).accepted.all()

    def test_a_row_that_breaks_two_rules_has_two_reasons(self, tmp_path: Path) -> None:
        judgement = judged([*FIT, row("bad", None, duration_s=1.0)], tmp_path)
        assert refusals(judgement) == {("bad", "genre_present"), ("bad", "duration_in_range")}

    def test_warnings_tell_and_never_refuse(self, tmp_path: Path) -> None:
        judgement = judged([*FIT, row("odd", "reel", artist=None, channels=6)], tmp_path)
        assert judgement.accepted.all()
        assert judgement.rules["artist_known"].unexpected == 1 and not judgement.rules["artist_known"].success
        assert judgement.rules["mono_or_stereo"].severity == "warning"

    def test_rows_keep_their_own_index(self, tmp_path: Path) -> None:
        frame = pd.DataFrame([*FIT, row("bad", None)])
        frame.index = pd.Index(range(100, 100 + len(frame)))
        judgement = judge(frame, LIMITS, tmp_path / "docs")
        assert list(judgement.accepted) == [True] * len(FIT) + [False]
        assert refusals(judgement) == {("bad", "genre_present")}


class TestDuplicates:
    def test_the_first_of_equal_files_stays_and_the_later_ones_name_it(self, tmp_path: Path) -> None:
        copies = [row(f"copy{n}", "reel", content_hash=FIT[0]["content_hash"]) for n in range(2)]
        judgement = judged(FIT + copies, tmp_path)
        assert refusals(judgement) == {("copy0", "content_unique"), ("copy1", "content_unique")}
        assert set(judgement.quarantine["reason"]) == {"the same file as reel0, byte for byte"}
        assert judgement.rules["content_unique"].unexpected == 2

    def test_a_copy_of_a_track_that_is_refused_anyway_stays(self, tmp_path: Path) -> None:
        first, second = row("a", None, content_hash="1" * 64), row("b", "reel", content_hash="1" * 64)
        judgement = judged([first, second, *FIT], tmp_path)
        assert refusals(judgement) == {("a", "genre_present")}

    def test_equal_ids_and_equal_paths_are_refused_but_for_the_first(self, tmp_path: Path) -> None:
        twice = [row("x", "reel"), row("x", "reel", path="elsewhere", content_hash="2" * 64)]
        same_path = [row("y", "jig"), row("z", "jig", path=row("y", "jig")["path"])]
        judgement = judged(FIT + twice + same_path, tmp_path)
        assert refusals(judgement) == {("x", "id_unique"), ("z", "path_unique")}
        assert list(judgement.accepted)[-4:] == [True, False, True, False]


class TestGenresAndTheWhole:
    def test_a_genre_with_too_few_tracks_is_refused_as_a_whole_with_the_numbers(self, tmp_path: Path) -> None:
        judgement = judged(FIT + [row(f"polka{n}", "polka") for n in range(3)], tmp_path)
        assert refusals(judgement) == {(f"polka{n}", "genre_has_tracks") for n in range(3)}
        assert set(judgement.quarantine["reason"]) == {"its genre polka has 3 fit tracks; needed: at least 4"}
        assert judgement.rules["genre_has_tracks"].unexpected == 1

    def test_only_fit_tracks_count_towards_a_genre(self, tmp_path: Path) -> None:
        polkas = [row(f"polka{n}", "polka") for n in range(3)] + [row("polka3", "polka", duration_s=1.0)]
        assert ("polka0", "genre_has_tracks") in refusals(judged(FIT + polkas, tmp_path))

    def test_a_genre_by_one_artist_alone_is_refused(self, tmp_path: Path) -> None:
        judgement = judged(FIT + [row(f"polka{n}", "polka", group="one") for n in range(4)], tmp_path)
        assert refusals(judgement) == {(f"polka{n}", "genre_has_groups") for n in range(4)}

    def test_one_genre_alone_is_a_problem_of_the_whole(self, tmp_path: Path) -> None:
        judgement = judged(FIT[:4], tmp_path)
        assert judgement.problems == ("Genres left: 1; needed: at least 2.",)
        assert not judgement.rules["two_genres"].success

    @pytest.mark.parametrize(("bad", "fails"), [(8, False), (9, True)])
    def test_more_than_the_allowed_share_of_refused_rows_is_a_problem(
        self, tmp_path: Path, bad: int, fails: bool
    ) -> None:
        judgement = judged(FIT + [row(f"bad{n}", None) for n in range(bad)], tmp_path)  # 8 fit: 8/16 refused, or 9/17
        assert bool(judgement.problems) is fails
        assert judgement.rules["refused_share"].success is not fails

    def test_nothing_fit_at_all_is_still_judged_to_the_end(self, tmp_path: Path) -> None:
        judgement = judged([row(f"bad{n}", None) for n in range(3)], tmp_path)
        assert not judgement.accepted.any()
        assert any("3 of 3 tracks" in problem for problem in judgement.problems)
        assert (tmp_path / "docs/index.html").exists()


class TestDataDocs:
    @pytest.fixture(scope="class")
    def docs(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("site")
        judged([*FIT, row("<b>bad</b>", None), row("long", "jig", duration_s=601.0)], folder)
        return folder / "docs"

    def test_the_index_names_every_rule_and_every_refused_track(self, docs: Path) -> None:
        page = (docs / "index.html").read_text()
        for name in ("audio_present", "content_unique", "genre_has_groups", "refused_share", "artist_known"):
            assert f"<code>{name}</code>" in page
        assert "&lt;b&gt;bad&lt;/b&gt;" in page and "<b>bad</b>" not in page
        assert "it lasts 601.00 s; needed: 3 to 600 s" in page

    def test_great_expectations_own_pages_are_there_with_values_notes_and_severity(self, docs: Path) -> None:
        assert "601.0" in (docs / "validations/tracks.html").read_text()
        suite = (docs / "expectations/tracks.html").read_text()
        assert "duration_in_range" in suite and "critical" in suite and "The recording lasts 3 to 600 s." in suite

    def test_no_page_fetches_anything_from_a_network_and_every_link_leads_somewhere(self, docs: Path) -> None:
        pages = list(docs.rglob("*.html"))
        assert len(pages) == 7
        for page in pages:
            text = page.read_text()
            assert "<script" not in text
            for link in re.findall(r'(?:href|src)="([^"#]+)', text):
                assert not link.startswith(("http", "//")), f"{page.name} leads to {link}"
                assert (page.parent / link).exists(), f"{page.name} leads to {link}"

    def test_equal_catalogues_give_equal_pages(self, docs: Path, tmp_path: Path) -> None:
        judged([*FIT, row("<b>bad</b>", None), row("long", "jig", duration_s=601.0)], tmp_path)
        for page in docs.rglob("*.*"):
            assert page.read_bytes() == (tmp_path / "docs" / page.relative_to(docs)).read_bytes(), page

    def test_what_lay_there_before_is_gone(self, tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/old.html").write_text("old")
        judged(FIT, tmp_path)
        assert not (tmp_path / "docs/old.html").exists()


@pytest.mark.slow
def test_judging_writes_nothing_to_the_home_and_nothing_to_the_terminal(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import json, sys, pandas as pd; from pathlib import Path; from earmark.adapters.expectations import judge; "
        "from earmark.params import Validation; rows = json.loads(sys.argv[1]); "
        f"judge(pd.DataFrame(rows), Validation(3.0, 600.0, 8000, 4, 2, 0.5), Path({str(tmp_path / 'docs')!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(FIT)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr) == ("", "")
    assert list(home.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"home", "docs"}
