"""The stage `tags`: which of what listeners tell is worth teaching, and how much each song counts."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.feedback.estimates.categories import NEVER, SURE, TOO_FEW, UNSURE
from earmark.model.tags import load_tags
from earmark.params import Params, load_params
from earmark.stages import tags
from earmark.workspace import CATEGORIES, CATEGORY_NAMES, TAGS, TARGETS, TARGETS_SUMMARY
from scratch import CHECKOUT

TRACKS = [f"{number:02}.flac" for number in range(30)]


def params(**how: object) -> Params:
    """Those of this checkout, but for section ``tags``."""
    params = load_params(CHECKOUT / "params.yaml")
    return replace(params, tags=replace(params.tags, **how))


class Project:
    """What the stages `targets` and `categories` have written; empty at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.targets: list[pd.DataFrame] = []
        self.summary: dict[str, dict[str, float | None]] = {}
        self.members: list[tuple[str, int, float, str]] = []
        self.categories: list[dict[str, object]] = []

    def told(
        self,
        target: str,
        name: str,
        *,
        tracks: int = len(TRACKS),
        ceiling: float | None = 0.8,
        prior: float | None = 4.0,
        segment: str = "all",
    ) -> pd.DataFrame:
        """A target of some tracks; the further on, the more answers there are, from one."""
        number = np.arange(tracks)
        rows = pd.DataFrame({"track_id": TRACKS[:tracks], "segment": segment, "target": target, "name": name})
        rows["estimate"], rows["evidence"] = number / len(TRACKS), (prior or 0.0) + 1.0 + number
        self.targets.append(rows)
        self.summary[f"{target}:{name}" if name else target] = {"ceiling": ceiling, "prior_answers": prior}
        return rows

    def belong(self, places: dict[int, int], *, confidence: float = 0.9, status: str = SURE) -> None:
        """Songs (by place) in categories (by number)."""
        self.members += [(TRACKS[song], number, confidence, status) for song, number in places.items()]

    def run(self, *, shuffled: bool = False, **how: object) -> pd.DataFrame:
        columns = ["track_id", "segment", "target", "name", "estimate", "evidence"]
        targets = pd.concat(self.targets or [pd.DataFrame(columns=columns)])
        members = pd.DataFrame(self.members, columns=["track_id", "category", "confidence", "status"])
        for path, table in ((TARGETS, targets), (CATEGORIES, members)):
            (self.root / path).parent.mkdir(exist_ok=True)
            (table.sample(frac=1, random_state=3) if shuffled else table).to_parquet(self.root / path)
        (self.root / TARGETS_SUMMARY).parent.mkdir(exist_ok=True)
        (self.root / TARGETS_SUMMARY).write_text(json.dumps({"targets": self.summary}))
        (self.root / CATEGORY_NAMES).write_text(json.dumps({"highest": 99, "categories": self.categories}))
        tags.run(params(**how), self.root)
        return pd.read_parquet(self.root / TAGS)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def names(table: pd.DataFrame) -> set[str]:
    return set(table["tag"])


class TestWhatListenersSaid:
    def test_liking_feelings_and_words_are_tags_and_nothing_else_is(self, project):
        told = (("feeling", "calmness"), ("word", "study"), ("appeal", ""), ("dislike", ""), ("popularity", ""))
        for target, name in told:
            project.told(target, name)
        wanted = {"appeal---like", "appeal---dislike", "feeling---calmness", "word---study"}
        assert names(project.run()) == wanted

    def test_liking_can_be_left_out(self, project):
        project.told("appeal", "")
        project.told("feeling", "calmness")
        assert names(project.run(appeal=False)) == {"feeling---calmness"}

    def test_a_share_is_the_estimate_and_weighs_what_is_not_the_prior_of_it(self, project):
        project.told("feeling", "calmness", prior=4.0, ceiling=0.7)
        table = project.run().set_index("track_id")
        assert list(table.index) == TRACKS
        for number, track in enumerate(TRACKS):
            answers = 1.0 + number  # of listeners; four more are what is assumed beforehand
            assert table.loc[track, "share"] == pytest.approx(number / len(TRACKS))
            assert table.loc[track, "weight"] == pytest.approx(answers / (answers + 4.0))
            assert table.loc[track, "ceiling"] == 0.7

    def test_where_there_is_less_than_the_prior_nothing_is_known_of_the_song(self, project):
        rows = project.told("feeling", "calmness", prior=4.0)
        rows.loc[:2, "evidence"] = [0.0, 3.5, 4.0]
        weights = project.run()["weight"]
        assert weights[:3].tolist() == [0.0, 0.0, 0.0]
        assert (weights[3:] > 0).all()

    def test_where_nothing_was_assumed_every_song_counts_fully(self, project):
        project.told("feeling", "calmness", prior=None)
        assert set(project.run()["weight"]) == {1.0}

    def test_segments_are_not_taught(self, project):
        whole = project.told("feeling", "calmness")
        project.told("feeling", "calmness", segment="age:20–29")
        assert len(project.run()) == len(whole)

    @pytest.mark.parametrize(
        ("ceiling", "taught"), [(0.31, True), (0.3, True), (0.29, False), (0.0, False), (None, False)]
    )
    def test_what_listeners_do_not_agree_about_is_not_taught(self, project, ceiling, taught):
        project.told("word", "study")
        project.told("feeling", "wonder", ceiling=ceiling)
        assert ("feeling---wonder" in names(project.run(min_ceiling=0.3))) == taught

    @pytest.mark.parametrize(("tracks", "taught"), [(20, True), (19, False)])
    def test_what_is_known_of_few_tracks_is_not_taught(self, project, tracks, taught):
        project.told("word", "study", tracks=tracks)
        assert ("word---study" in names(project.run(min_tracks=20))) == taught

    @pytest.mark.parametrize("name", ["a:b", "rock & roll", "夜", "---"])
    def test_a_word_may_be_written_however_it_is(self, project, name):
        project.told("word", name)
        assert names(project.run()) == {f"word---{name}"}


class TestCategories:
    def listed(self, project: Project, **named: str) -> None:
        project.categories = [{"number": int(number[1:]), "name": name} for number, name in named.items()]

    def test_each_is_a_tag_of_its_songs_and_not_of_the_others_by_how_sure_their_place_is(self, project):
        self.listed(project, n3="dance · reel", n7="sea")
        project.belong(dict.fromkeys(range(12), 3), confidence=0.75)
        project.belong(dict.fromkeys(range(12, 22), 7), confidence=1.0)
        table = project.run()
        share = table.pivot(index="track_id", columns="tag", values="share")
        assert share["category---dance · reel"].tolist() == [1.0] * 12 + [0.0] * 10
        assert share["category---sea"].tolist() == [0.0] * 12 + [1.0] * 10
        weight = table.pivot(index="track_id", columns="tag", values="weight")
        assert (weight == np.array([0.75] * 12 + [1.0] * 10)[:, None]).all(axis=None)
        assert table["ceiling"].isna().all()

    def test_songs_whose_place_is_not_sure_teach_nothing(self, project):
        self.listed(project, n0="dance", n1="sea")
        project.belong({song: song % 2 for song in range(20)})
        for song, status in ((20, UNSURE), (21, TOO_FEW), (22, NEVER)):
            project.belong({song: 0}, status=status)
        assert set(project.run()["track_id"]) == set(TRACKS[:20])

    @pytest.mark.parametrize(("songs", "taught"), [(20, True), (19, False)])
    def test_too_few_sure_songs_teach_nothing(self, project, songs, taught):
        self.listed(project, n0="dance", n1="sea")
        project.belong({song: song % 2 for song in range(songs)})
        project.belong({29: 0}, status=UNSURE)
        assert (len(project.run(min_tracks=20)) > 0) == taught

    def test_those_called_alike_are_told_apart_by_their_numbers(self, project):
        self.listed(project, n2="sea", n4="dance", n9="sea")
        project.belong({song: (2, 4, 9)[song % 3] for song in range(30)})
        table = project.run()
        assert names(table) == {"category---sea (2)", "category---sea (9)", "category---dance"}
        second = table[table["tag"] == "category---sea (9)"].set_index("track_id")["share"]
        assert [track for track, share in second.items() if share] == TRACKS[2::3]


class TestTheWhole:
    @pytest.fixture
    def full(self, project) -> Project:
        project.told("feeling", "calmness")
        project.told("word", "study")
        project.categories = [{"number": 0, "name": "dance"}, {"number": 1, "name": "sea"}]
        project.belong({song: song % 2 for song in range(30)})
        return project

    @pytest.mark.parametrize(
        ("off", "left"),
        [
            ("feelings", {"word---study", "category---dance", "category---sea"}),
            ("words", {"feeling---calmness", "category---dance", "category---sea"}),
            ("categories", {"feeling---calmness", "word---study"}),
        ],
    )
    def test_each_kind_can_be_left_out(self, full, off, left):
        assert names(full.run(**{off: False})) == left

    def test_the_same_in_whatever_order_gives_the_same_bytes(self, full):
        digests = set()
        for shuffled in (False, True):
            full.run(shuffled=shuffled)
            digests.add(hashlib.sha256((full.root / TAGS).read_bytes()).hexdigest())
        assert len(digests) == 1

    def test_the_models_read_what_was_written(self, full):
        table = full.run()
        loaded = load_tags(full.root)
        assert loaded.names == ("category---dance", "category---sea", "feeling---calmness", "word---study")
        found = loaded.of(pd.Series(TRACKS[::-1]))
        for column, tag in enumerate(loaded.names):
            rows = table[table["tag"] == tag].set_index("track_id").loc[TRACKS[::-1]]
            np.testing.assert_allclose(found[:, 0, column], rows["share"], rtol=1e-6)
            np.testing.assert_allclose(found[:, 1, column], rows["weight"], rtol=1e-6)

    def test_where_nobody_has_listened_there_are_no_tags_and_the_models_do_without(self, project):
        table = project.run()
        assert list(table.columns) == ["track_id", "tag", "share", "weight", "ceiling"] and table.empty
        loaded = load_tags(project.root)
        assert loaded.names == () and loaded.ceilings == {}
        assert loaded.of(pd.Series(TRACKS)).shape == (30, 2, 0)
