"""Great Expectations as judge: each rule of expectations.yaml finds its row and no other, and a team can edit them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from judging_tools import FIT, MEASURED, RULES, judged, params, refusals, row, warned, warned_reasons

from earmark.adapters.expectations import judging
from earmark.errors import ParamsError

# For each rule of the suite `tracks` that looks at one row alone: an offender, what it is told, and a row just within.
OFFENDERS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("audio_present", {"audio_bytes": 0}, "no audio at data/collections/mine/audio/odd", {"audio_bytes": None}),
    ("decodable", {"unreadable": "the audio is not what was imported"}, "not what was imported", {"unreadable": None}),
    ("hash_present", {"content_hash": "beef"}, "'beef'", {"content_hash": "0" * 64}),
    ("genre_present", {"genre": None}, "it has no genre", {"genre": "reel"}),
    ("genre_present", {"genre": "  "}, "it has no genre", {"genre": "jig"}),
    ("genre_in_taxonomy", {"refused_genre": "gabber"}, "'gabber' has no place", {"source_genre": "gabber"}),
    ("label_not_withdrawn", {"genre": None, "withdrawn": "its label (reel) was withdrawn"}, "(reel) was withdrawn", {}),
    ("group_present", {"group": ""}, "no group", {"group": "track:odd"}),
    ("duration_in_range", {"duration_s": 2.99}, "it lasts 2.99 s; needed: 3 to 600 s", {"duration_s": 3.0}),
    ("duration_in_range", {"duration_s": 600.01}, "it lasts 600.01 s", {"duration_s": 600.0}),
    ("duration_in_range", {"duration_s": float("nan")}, "it lasts 0.00 s", {"duration_s": 4.0}),
    ("sample_rate_enough", {"sample_rate_hz": 7999}, "7999 Hz; needed: at least 8000 Hz", {"sample_rate_hz": 8000}),
    (
        "not_silent",
        MEASURED | {"silent_share": 0.95},
        "95% of it is silence; allowed: 90%",
        MEASURED | {"silent_share": 0.9},
    ),
    ("loudness_present", MEASURED | {"loudness_lufs": None}, "below the gate", MEASURED),
    (
        "not_clipped",
        MEASURED | {"clipped_share": 0.3},
        "30% of its samples are clipped",
        MEASURED | {"clipped_share": 0.1},
    ),
    ("split_known", {"split": "dev"}, "'dev'", {"split": "test"}),
]
WARNED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("no_copies", {"duplicate_group": "song"}, "one of the copies of song", {"duplicate_group": None}),
    ("artist_known", {"artist": None}, "unknown", {"artist": "Björk"}),
    ("artist_known", {"artist": "Unknown Artist"}, "unknown", {"artist": "The Unknown Artists"}),
    ("mono_or_stereo", {"channels": 6}, "6 channels", {"channels": 2}),
    (
        "bandwidth_plausible",
        MEASURED | {"sample_rate_hz": 44_100, "bandwidth_hz": 16_000.0},
        "nothing above 16000 Hz in a flac of 44100 Hz",
        MEASURED | {"sample_rate_hz": 44_100, "bandwidth_hz": 16_000.0, "codec": "mp3"},
    ),
    (
        "bandwidth_plausible",  # of a high rate nobody expects more than a CD holds
        MEASURED | {"sample_rate_hz": 96_000, "bandwidth_hz": 16_000.0},
        "nothing above 16000 Hz",
        MEASURED | {"sample_rate_hz": 96_000, "bandwidth_hz": 21_000.0},
    ),
    ("tags_in_vocabulary", {"unknown_tags": "gitar, x"}, "gitar, x", {"tags": ("guitar",)}),
]
BESIDE_OTHERS = {"id_unique", "path_unique", "content_unique"}
ON_DEMAND = {"licence_present"}


class TestRowRules:
    def test_a_fit_catalogue_passes_every_rule(self, tmp_path: Path) -> None:
        judgement = judged(FIT, tmp_path)
        assert judgement.accepted.all()
        assert judgement.quarantine.empty and judgement.warnings.empty
        assert judgement.problems == ()
        assert {name for name, rule in judgement.rules.items() if rule.success is None} == ON_DEMAND
        assert all(rule.unexpected == 0 for rule in judgement.rules.values())

    @pytest.mark.parametrize(("rule", "offence", "said", "within"), OFFENDERS)
    def test_a_critical_rule_refuses_its_offender_and_says_what_was_found(
        self, tmp_path: Path, rule: str, offence: dict[str, Any], said: str, within: dict[str, Any]
    ) -> None:
        fine = row("fine", "reel") | within
        judgement = judged([*FIT, row("odd", "reel") | offence, fine], tmp_path)
        assert refusals(judgement) == {("odd", rule)}
        assert list(judgement.accepted) == [True] * len(FIT) + [False, True]
        assert said in judgement.quarantine["reason"].iloc[0]
        assert judgement.rules[rule].unexpected == 1 and judgement.rules[rule].success is False
        assert judgement.problems == ()

    @pytest.mark.parametrize(("rule", "offence", "said", "within"), WARNED)
    def test_a_warning_names_its_track_and_never_refuses(
        self, tmp_path: Path, rule: str, offence: dict[str, Any], said: str, within: dict[str, Any]
    ) -> None:
        judgement = judged([*FIT, row("odd", "reel") | offence, row("fine", "reel") | within], tmp_path)
        assert judgement.accepted.all() and judgement.problems == ()
        assert warned(judgement) == {("odd", rule)}
        assert said in judgement.warnings["reason"].iloc[0]
        assert judgement.rules[rule].unexpected == 1 and judgement.rules[rule].severity in ("warning", "info")

    def test_every_rule_on_tracks_has_an_offender_here(self) -> None:
        tested = {case[0] for case in OFFENDERS + WARNED} | BESIDE_OTHERS | ON_DEMAND
        assert {rule["name"] for rule in yaml.safe_load(RULES.read_text())["tracks"]} == tested

    def test_what_was_never_measured_refuses_nobody(self, tmp_path: Path) -> None:
        unmeasured = row("old", "reel") | dict.fromkeys(MEASURED)
        judgement = judged([*FIT, unmeasured], tmp_path)
        assert judgement.accepted.all() and judgement.warnings.empty

    def test_a_licence_is_demanded_only_where_params_says_so(self, tmp_path: Path) -> None:
        licensed = [track | {"licence": "CC BY"} for track in FIT]
        rows = [*licensed, row("bare", "reel")]
        assert judged(rows, tmp_path).accepted.all()
        assert refusals(judged(rows, tmp_path, demand_licence=True)) == {("bare", "licence_present")}

    def test_a_row_that_breaks_two_rules_has_two_reasons(self, tmp_path: Path) -> None:
        judgement = judged([*FIT, row("bad", None, duration_s=1.0)], tmp_path)
        assert refusals(judgement) == {("bad", "genre_present"), ("bad", "duration_in_range")}

    def test_the_quarantine_goes_by_tracks_then_by_rules(self, tmp_path: Path) -> None:
        bad = [row("b", None, duration_s=1.0), row("a", "reel", sample_rate_hz=100), row("c", None)]
        quarantine = judged([*FIT, *bad], tmp_path).quarantine
        assert list(zip(quarantine["track_id"], quarantine["rule"], strict=True)) == [
            ("b", "genre_present"),
            ("b", "duration_in_range"),
            ("a", "sample_rate_enough"),
            ("c", "genre_present"),
        ]


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


class TestSplits:
    """The split that the stage `split` will make, judged before anything learns from it."""

    def test_an_artist_on_two_sides_fails_the_stage_however_the_name_is_written(self, tmp_path: Path) -> None:
        split = {
            "a": row("a", "reel", artist="The Band", group="track:a", split="train"),
            "b": row("b", "reel", artist="THE  BAND", group="track:b", split="test"),
        }
        judgement = judged([*FIT, *split.values()], tmp_path)
        (problem,) = judgement.problems
        assert problem == (
            "The artist The Band stands on 2 sides: 1 tracks for training, 0 for validation, 1 for test."
        )
        assert judgement.accepted.all()
        assert not judgement.rules["artist_on_one_side"].success and judgement.rules["group_on_one_side"].success

    def test_an_artist_whose_pieces_the_source_keeps_together_is_only_told_of(self, tmp_path: Path) -> None:
        pieces = [
            row(f"piece{n}", "reel", artist="Bach", group=f"bwv {n}", split=side)
            for n, side in enumerate(("train", "test", "test"))
        ]
        judgement = judged([*FIT, *pieces], tmp_path)
        assert judgement.problems == () and judgement.accepted.all()
        (told,) = judgement.warnings.to_dict("records")
        assert told["rule"] == "artist_kept_whole_by_source" and told["severity"] == "info"
        assert pd.isna(told["track_id"]) and told["reason"].startswith("Bach stands on 2 sides")

    def test_an_artist_in_several_genres_is_told_of_and_refuses_nobody(self, tmp_path: Path) -> None:
        both = [
            row(f"v{n}", genre, artist="Various", group="artist:various") for n, genre in enumerate(("reel", "jig"))
        ]
        judgement = judged([*FIT, *both], tmp_path)
        assert judgement.problems == () and judgement.accepted.all()
        assert warned_reasons(judgement) == {("artist_in_one_genre", "Various has 2 tracks in 2 genres")}

    def test_unknown_artists_are_not_one_artist(self, tmp_path: Path) -> None:
        nobodies = [
            row(f"n{n}", "reel", artist=None, group=f"track:n{n}", split=side)
            for n, side in enumerate(("train", "test"))
        ]
        judgement = judged([*FIT, *nobodies], tmp_path)
        assert judgement.problems == () and judgement.rules["artist_on_one_side"].success

    def test_what_an_official_split_taken_exactly_tears_apart_is_told_and_stops_nothing(self, tmp_path: Path) -> None:
        torn = [
            row("copy0", "reel", duplicate_group="d1", split="train"),
            row("copy1", "reel", duplicate_group="d1", split="validation"),
            row("song0", "reel", artist="X", group="artist:x", split="train"),
            row("song1", "reel", artist="X", group="artist:x", split="test"),
        ]
        whole, exact = judged([*FIT, *torn], tmp_path), judged([*FIT, *torn], tmp_path, official="exact")
        assert whole.problems == exact.problems == ()
        assert whole.rules["kept_whole_by_official_split"].success
        told = exact.warnings[exact.warnings["rule"] == "kept_whole_by_official_split"]
        assert set(told["severity"]) == {"warning"}
        counted = "{} stands on 2 sides of the published split: 1 tracks for training, {} for validation, {} for test"
        names = {"X": (0, 1), "artist:x": (0, 1), "d1": (1, 0)}  # the artist, the group, the recording
        # Copies join the groups of their tracks, but these are groups of their own in the table.
        assert set(told["reason"]) == {counted.format(name, *sides) for name, sides in names.items()}
        assert all(exact.rules[name].success for name in ("artist_on_one_side", "duplicates_on_one_side"))

    def test_too_few_groups_for_three_sides_are_a_problem_with_docs(self, tmp_path: Path) -> None:
        pairs = [row(f"polka{n}", "polka", group=f"artist:{n % 2}", artist=str(n % 2)) for n in range(4)]
        judgement = judged(FIT + pairs, tmp_path, min_groups_per_genre=2)
        (problem,) = judgement.problems
        assert "'polka' has no group for" in problem
        assert judgement.rules["genre_on_every_side"].success is None  # nothing to judge
        assert "no group for" in (tmp_path / "docs/index.html").read_text()

    def test_only_accepted_tracks_are_split(self, tmp_path: Path) -> None:
        torn = [
            row("a", "reel", artist="X", group="track:a", split="train"),
            row("b", "reel", artist="X", group="track:b", split="test", duration_s=1.0),
        ]
        assert judged([*FIT, *torn], tmp_path).problems == ()


class TestEditing:
    """What a team may do with the file, and what it is told when it goes wrong."""

    @staticmethod
    def edited(folder: Path, **suites: list[dict[str, Any]]) -> Path:
        path = folder / "expectations.yaml"
        path.write_text(yaml.safe_dump(suites))
        return path

    def test_any_expectation_of_the_gallery_may_be_added_with_nothing_but_a_name(self, tmp_path: Path) -> None:
        rules = self.edited(
            tmp_path,
            tracks=[
                {
                    "name": "isrc",
                    "type": "expect_column_values_to_match_regex",
                    "kwargs": {"column": "isrc", "regex": "^DE"},
                },
                {
                    "name": "no two of one title by one artist",
                    "type": "expect_compound_columns_to_be_unique",
                    "kwargs": {"column_list": ["artist", "title"]},
                    "reason": "like {first}",
                },
            ],
        )
        rows = [*FIT, row("us", "reel", isrc="US1"), row("de", "reel", isrc="DE1")]
        rows += [row(f"again{n}", "jig", artist="A", title="T", group="artist:a") for n in range(3)]
        judgement = judged(rows, tmp_path, rules=rules)
        reasons = dict(zip(judgement.quarantine["track_id"], judgement.quarantine["reason"], strict=True))
        assert reasons == {"us": "isrc is US1", "again1": "like again0", "again2": "like again0"}

    def test_a_rule_taken_out_refuses_nobody_and_a_changed_severity_only_warns(self, tmp_path: Path) -> None:
        content = yaml.safe_load(RULES.read_text())
        content["tracks"] = [rule for rule in content["tracks"] if rule["name"] != "sample_rate_enough"]
        next(rule for rule in content["tracks"] if rule["name"] == "duration_in_range")["severity"] = "warning"
        judgement = judged(
            [*FIT, row("coarse", "reel", sample_rate_hz=10), row("short", "reel", duration_s=1.0)],
            tmp_path,
            rules=self.edited(tmp_path, **content),
        )
        assert judgement.accepted.all()
        assert warned(judgement) == {("short", "duration_in_range")}

    def test_a_file_without_rules_accepts_everything(self, tmp_path: Path) -> None:
        rules = self.edited(tmp_path, tracks=[])
        assert judged([row("x", None, duration_s=0.0)], tmp_path, rules=rules).accepted.all()
        assert (tmp_path / "docs/index.html").exists()

    @pytest.mark.parametrize(("severity", "problems"), [("critical", 1), ("warning", 0)])
    def test_a_rule_on_a_whole_column_fails_the_stage_where_it_is_critical(
        self, tmp_path: Path, severity: str, problems: int
    ) -> None:
        rule = {
            "name": "long",
            "type": "expect_column_mean_to_be_between",
            "kwargs": {"column": "duration_s", "min_value": 100},
            "reason": "{observed} s on average",
            "severity": severity,
        }
        judgement = judged(FIT, tmp_path, rules=self.edited(tmp_path, tracks=[rule]))
        assert judgement.problems == ("12 s on average.",) * problems
        assert list(judgement.warnings["reason"]) == ["12 s on average"] * (1 - problems)
        assert judgement.accepted.all() and judgement.rules["long"].unexpected == 1

    def test_a_rule_on_the_table_itself_is_one_too(self, tmp_path: Path) -> None:
        rules = [
            {"name": "there", "type": "expect_column_to_exist", "kwargs": {"column": "isrc"}},
            {
                "name": "five",
                "type": "expect_table_row_count_to_equal",
                "kwargs": {"value": 5},
                "notes": "Five.",
            },
        ]
        judgement = judged(FIT, tmp_path, rules=self.edited(tmp_path, tracks=rules))
        assert judgement.rules["there"].success
        assert judgement.problems == ("Five: Five; found: 8.",)

    def test_mostly_lets_a_few_pass_as_great_expectations_means_it(self, tmp_path: Path) -> None:
        rule = {
            "name": "licensed",
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "licence", "mostly": 0.8},
        }
        rules = self.edited(tmp_path, tracks=[rule])
        licensed = [track | {"licence": "CC0"} for track in FIT]
        assert judged([*licensed, row("bare", "reel")], tmp_path, rules=rules).accepted.all()
        bare = [row(f"bare{n}", "reel") for n in range(3)]
        assert {name for name, _ in refusals(judged([*licensed, *bare], tmp_path, rules=rules))} == {
            "bare0",
            "bare1",
            "bare2",
        }

    def test_tags_are_one_text_to_a_rule(self, tmp_path: Path) -> None:
        rule = {
            "name": "no speech",
            "type": "expect_column_values_to_not_match_regex",
            "kwargs": {"column": "tags", "regex": "speech"},
            "reason": "tagged {tags}",
        }
        rules = self.edited(tmp_path, tracks=[rule])
        judgement = judged([*FIT, row("talk", "reel", tags=("slow", "speech"))], tmp_path, rules=rules)
        assert list(judgement.quarantine["reason"]) == ["tagged slow, speech"]

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            ("{name: x, type: expect_nonsense}", r"no 'expect_nonsense'"),
            (
                "{name: x, type: unexpected_rows_expectation, kwargs: {unexpected_rows_query: SELECT 1}}",
                "cannot judge by it",
            ),
            ("{name: x, type: expect_column_values_to_be_unique, kwargs: {column: gerne}}", r'"gerne".*genre'),
            ("{name: x, type: expect_column_values_to_be_unique, kwargs: {colum: genre}}", r"colum: extra"),
            ("{name: x, type: expect_column_values_to_be_between, kwargs: {column: genre}}", r"kwargs .*min_value"),
            ("{name: x, type: expect_column_values_to_match_regex, kwargs: {column: genre, regex: '('}}", r"regular"),
            (
                "{name: x, type: expect_column_values_to_match_like_pattern, kwargs: {column: genre, like_pattern: a}}",
                "pandas|Pandas",
            ),
            (
                "{name: x, type: expect_column_max_to_be_between, kwargs: {column: genre, max_value: {$PARAMETER: y}}}",
                r"\$PARAMETER y.*min_duration_s",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, severity: error}",
                "'error'.*critical",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, reasons: a}",
                "unknown key reasons",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, reason: '{gerne}'}",
                "{gerne}",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, reason: '{genre:.2f}'}",
                "reason cannot",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, reason: '{genre'}",
                "reason cannot",
            ),
            (
                "{name: x, type: expect_column_values_to_be_unique, kwargs: {column: genre}, when: min_duration_s}",
                "demand_licence",
            ),
            ("{name: x, type: expect_column_values_to_be_unique, kwargs: [genre]}", "kwargs should be a mapping"),
            ("{type: expect_column_values_to_be_unique, kwargs: {column: genre}}", "it has no name"),
        ],
    )
    def test_what_is_wrong_with_an_entry_is_said_before_anything_runs(
        self, tmp_path: Path, entry: str, said: str
    ) -> None:
        path = tmp_path / "expectations.yaml"
        first = "name: a\n    type: expect_table_row_count_to_be_between\n    kwargs: {min_value: 1}"
        path.write_text(f"tracks:\n  - {first}\n  - {entry}\n")
        with pytest.raises(ParamsError, match=rf"(?s)suite tracks, entry 2.*{said}") as caught:
            judging(path, params())
        assert "line 5" in str(caught.value)

    def test_an_entry_that_is_no_mapping_is_named_by_its_number(self, tmp_path: Path) -> None:
        path = tmp_path / "expectations.yaml"
        path.write_text("tracks:\n  - expect_column_values_to_be_unique\n")
        with pytest.raises(ParamsError, match=r"suite tracks, entry 1.*should be an expectation"):
            judging(path, params())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("tracks: [", "not valid YAML.*line 1"),
            ("track: []", "no suite track"),
            ("tracks: {a: b}", "should be a list"),
            ("- a", "should hold the suites"),
            ("tracks: []\ngenres: []\ntracks: []", "line 3: 'tracks' stands here a second time"),
        ],
    )
    def test_what_is_wrong_with_the_file_is_said(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "expectations.yaml"
        path.write_text(text)
        with pytest.raises(ParamsError, match=rf"(?s){said}"):
            judging(path, params())

    def test_two_rules_of_one_name_are_told_apart_by_their_places(self, tmp_path: Path) -> None:
        rule = {"name": "x", "type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
        with pytest.raises(ParamsError, match=r"suite genres, entry 1 .*taken.*suite tracks, entry 1"):
            judging(self.edited(tmp_path, tracks=[rule], genres=[rule]), params())

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ParamsError, match=r"no .*expectations\.yaml"):
            judging(tmp_path / "expectations.yaml", params())


@pytest.mark.slow
def test_judging_writes_nothing_to_the_home_and_nothing_to_the_terminal(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import json, sys; from pathlib import Path; from judging_tools import judged; "
        f"judged(json.loads(sys.argv[1]), Path({str(tmp_path)!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(FIT)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home), "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr) == ("", "")
    assert list(home.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"home", "docs"}
