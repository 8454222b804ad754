"""Corrections: what the team's file may say, and what the stages make of it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from earmark.catalogue.corrections import COLUMNS, Correction, apply_corrections, parse_corrections, read_corrections
from earmark.catalogue.taxonomy import Taxonomy, apply_taxonomy, read_taxonomy
from earmark.catalogue.track import Track, read_tracks, write_tracks
from earmark.errors import ParamsError
from earmark.model.material import load_material
from earmark.params import load_params
from earmark.stages import split, validate
from earmark.stages.validate import VERDICT_COLUMNS, Judgement
from earmark.workspace import CATALOGUE, CORRECTED, CORRECTIONS, DUPLICATES, FEATURES, TAXONOMY
from scratch import CHECKOUT

HASH = "ab" * 32


def track(name: str, genre: str | None, **changed: object) -> Track:
    plain = Track(name, f"x/{name}", HASH, 12.0, 22_050, 1, "flac", "folder", group=f"artist:{name}", genre=genre)
    return replace(plain, **changed)


def corrected(lines: str, *tracks: Track, taxonomy: Taxonomy | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tracks by track_id, and the report, under ``lines`` below the header ``track_id,genre,note,content_hash``."""
    taxonomy = taxonomy or Taxonomy()
    table = pd.DataFrame([each.__dict__ for each in tracks])
    named, _ = apply_taxonomy(taxonomy, table)
    corrections = parse_corrections(f"track_id,genre,note,content_hash\n{lines}")
    after, report = apply_corrections(corrections, named, taxonomy)
    return after.set_index("track_id"), report


class TestTheFile:
    def test_the_one_in_the_repository_has_all_columns_and_no_line(self):
        assert (CHECKOUT / CORRECTIONS).read_text() == ",".join(COLUMNS) + "\n"
        assert read_corrections(CHECKOUT / CORRECTIONS) == ()

    def test_without_a_file_there_are_none(self, tmp_path):
        assert read_corrections(tmp_path / "none.csv") == ()

    def test_two_columns_in_any_order_do_as_spreadsheets_save_them(self, tmp_path):
        (tmp_path / "c.csv").write_bytes("\ufeffgenre,track_id\r\nJazz,Björk/1.mp3\r\n\r\n".encode())
        assert read_corrections(tmp_path / "c.csv") == (Correction(2, "Björk/1.mp3", "Jazz"),)

    def test_commas_and_quotes_stand_in_quoted_text(self):
        (found,) = parse_corrections('track_id,genre,note\n"a, b.mp3",jazz,"he says ""swing"""\n')
        assert (found.track_id, found.note) == ("a, b.mp3", 'he says "swing"')

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("track_id;genre\na;jazz\n", "semicolons"),
            ("", "needed are track_id,genre"),
            ("track_id,genre,mood\n", "there may be note,by,content_hash"),
            ("track_id,genre,genre\n", "track_id,genre,genre"),
            ("track_id,genre\na,\n", "line 2: a gets no genre"),
            ("track_id,genre\n,jazz\n", "line 2: it names no track"),
            ("track_id,genre\na,jazz,too much\n", "line 2: 3 fields for 2 columns"),
            ('track_id,genre\na,"jazz\n', "line 2: unexpected end of data"),
            ("track_id,genre,content_hash\na,jazz,beef\n", "'beef' is no SHA-256"),
            ("track_id,genre\na,jazz\nb,jazz\na,rock\n", "line 4: a is 'rock' here and 'jazz' in line 2"),
        ],
    )
    def test_what_is_not_in_order_is_named_with_its_line(self, text, said):
        with pytest.raises(ParamsError, match=r"data/corrections\.csv") as caught:
            parse_corrections(text)
        assert said in str(caught.value)

    def test_other_text_than_utf_8_is_named(self, tmp_path):
        (tmp_path / "c.csv").write_bytes("track_id,genre\nBjörk,jazz\n".encode("latin-1"))
        with pytest.raises(ParamsError, match="not UTF-8"):
            read_corrections(tmp_path / "c.csv")

    def test_one_track_may_have_two_lines_for_two_recordings(self):
        text = f"track_id,genre,content_hash\na,jazz,{HASH}\na,rock,{'cd' * 32}\n"
        assert [each.genre for each in parse_corrections(text)] == ["jazz", "rock"]


class TestWhatBecomesOfATrack:
    def test_its_genre_is_replaced_and_says_by_whom_and_others_stay(self):
        tracks, report = corrected(
            f"a,rock,heard it,{HASH}\n", track("a", "jazz", genre_source="spotify"), track("b", "rock")
        )
        assert tracks["genre"].to_dict() == {"a": "rock", "b": "rock"}
        assert tracks["genre_source"].fillna("none").to_dict() == {"a": "correction", "b": "none"}
        assert report.to_dict("records") == [
            {"track_id": "a", "before": "jazz", "after": "rock", "outcome": "corrected", "reason": "heard it"}
        ]

    def test_a_track_without_a_genre_gets_one(self):
        tracks, _ = corrected("a,rock,,\n", track("a", None), track("b", "rock"))
        assert tracks["genre"]["a"] == "rock"

    def test_its_own_genre_confirms_it(self):
        tracks, report = corrected("a,jazz,,\n", track("a", "jazz"))
        assert (tracks["genre"]["a"], tracks["genre_source"]["a"]) == ("jazz", "correction")
        assert report["outcome"].tolist() == ["confirmed"]

    def test_a_withdrawn_label_is_gone_and_the_reason_is_kept(self):
        tracks, report = corrected("a,-,a sketch,\n", track("a", "jazz"), track("b", "jazz"))
        assert tracks["genre"].isna().to_dict() == {"a": True, "b": False}
        assert tracks["withdrawn"]["a"] == "its label (jazz) was withdrawn in data/corrections.csv: a sketch"
        assert pd.isna(tracks["withdrawn"]["b"]) and report["outcome"].tolist() == ["withdrawn"]

    def test_other_audio_under_its_name_is_left_alone(self):
        tracks, report = corrected(f"a,rock,,{HASH}\n", track("a", "jazz", content_hash="cd" * 32), track("b", "rock"))
        assert tracks["genre"]["a"] == "jazz" and report["outcome"].tolist() == ["other audio"]

    def test_a_track_that_is_not_there_is_told_and_stops_nothing_even_with_an_unknown_genre(self):
        tracks, report = corrected("gone,gabber,,\n", track("a", "jazz"))
        assert tracks["genre"].tolist() == ["jazz"] and report["outcome"].tolist() == ["unknown track"]

    def test_without_corrections_nothing_changes(self):
        tracks, report = corrected("", track("a", "jazz"), track("b", None))
        assert tracks["genre"].fillna("none").tolist() == ["jazz", "none"] and report.empty
        assert tracks[["genre_source", "withdrawn"]].isna().all(axis=None)


class TestTheGenre:
    @pytest.mark.parametrize("written", ["hip-hop", "Hip Hop", "RAP"])
    def test_may_be_written_as_the_taxonomy_knows_it(self, tmp_path, written):
        (tmp_path / "t.yaml").write_text("genres: {hip-hop: [Rap], jazz: []}\n")
        tracks, _ = corrected(f"a,{written},,\n", track("a", "jazz"), taxonomy=read_taxonomy(tmp_path / "t.yaml"))
        assert tracks["genre"]["a"] == "hip-hop"

    def test_that_nobody_knows_is_an_error_that_names_a_near_one(self):
        with pytest.raises(ParamsError, match=r"line 2: 'jaz' is none of your genres \(jazz, rock\). Perhaps 'jazz'"):
            corrected("a,jaz,,\n", track("a", "rock"), track("b", "jazz"))

    def test_frees_a_track_whose_own_the_taxonomy_refuses(self):
        refusing = Taxonomy(genres={"jazz": "jazz"}, refuse_unmapped=True)
        tracks, _ = corrected("a,jazz,,\n", track("a", "gabber"), track("b", "gabber"), taxonomy=refusing)
        assert tracks["refused_genre"].fillna("none").to_dict() == {"a": "none", "b": "gabber"}


def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
    """Refuses what has no genre."""
    refused = tracks["genre"].isna()
    rows = [(track_id, "genre", "critical", why) for track_id, why in tracks[refused][["track_id", "withdrawn"]].values]
    quarantine = pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))
    return Judgement(~refused, quarantine, quarantine[:0], {}, ())


class TestTheStages:
    @pytest.fixture
    def root(self, tmp_path):
        """Ten tracks of jazz, ten of rock, and five that somebody called rokc."""
        genres = {"jazz": 10, "rock": 10, "rokc": 5}
        tracks = [track(f"{genre}/{n:02d}.mp3", genre) for genre, count in genres.items() for n in range(count)]
        write_tracks(tracks, tmp_path / "data/collections/mine/tracks.parquet")
        columns = ["track_id", "duplicate_group", "kind", "unreadable"]
        pd.DataFrame([("none", None, None, None)], columns=columns).astype("str").to_parquet(tmp_path / DUPLICATES)
        features = pd.DataFrame([(each.track_id, HASH, each.path) for each in tracks])
        features.set_axis(["track_id", "content_hash", "path"], axis=1).to_parquet(tmp_path / FEATURES)
        return tmp_path

    def run(self, root):
        params = load_params(CHECKOUT / "params.yaml")
        params = replace(params, catalogue=replace(params.catalogue, collection="mine"))
        validate.run(params, root, judge=judge)
        split.run(params, root)
        material = load_material(root, params.frontend)
        return replace(material, tracks=material.tracks[material.tracks["track_id"].isin(self.ids(root))])

    def ids(self, root):
        return set(read_tracks(root / CATALOGUE)["track_id"])

    def test_corrected_labels_are_what_the_models_learn(self, root):
        assert self.run(root).labels == ("jazz", "rock", "rokc")
        lines = [f"rokc/{n:02d}.mp3,rock" for n in range(4)] + ["rokc/04.mp3,-"]
        (root / CORRECTIONS).write_text("\n".join(["track_id,genre", *lines]) + "\n")
        material = self.run(root)
        assert material.labels == ("jazz", "rock")
        assert material.tracks["genre"].value_counts().to_dict() == {"rock": 14, "jazz": 10}
        assert "rokc/04.mp3" not in set(material.tracks["track_id"])
        assert "was withdrawn" in (root / "data/quarantine.csv").read_text()
        report = pd.read_csv(root / CORRECTED)
        assert report["outcome"].tolist() == ["corrected"] * 4 + ["withdrawn"]
        assert set(report["before"]) == {"rokc"}

    def test_an_unknown_genre_stops_before_anything_is_judged(self, root):
        (root / CORRECTIONS).write_text("track_id,genre\nrokc/00.mp3,regae\n")
        with pytest.raises(ParamsError, match="'regae' is none of your genres"):
            self.run(root)
        assert not (root / CATALOGUE).exists() and not (root / TAXONOMY).exists()

    def test_dvc_judges_anew_when_the_file_has_changed(self):
        stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
        assert str(CORRECTIONS) in stages["validate"]["deps"] and str(CORRECTED) in stages["validate"]["outs"]
