"""Whom a model may hear: all whose sound is fit, but nothing that has to do with what is tested."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from earmark.catalogue.hearing import akin, to_hear, unlabelled
from earmark.catalogue.track import Track
from made_tracks import track


def tables(tracks: list[Track], *, test=(), copies=(), unreadable=(), refused=()) -> tuple[pd.DataFrame, ...]:
    """Collection, splits, duplicates, quarantine; ``copies`` are of one recording, ``refused`` are of (track, rule)."""
    names = [each.track_id for each in tracks]
    duplicates = pd.DataFrame(
        {
            "track_id": names,
            "duplicate_group": [min(copies) if name in copies else None for name in names],
            "unreadable": ["it is damaged" if name in unreadable else None for name in names],
        }
    )
    splits = pd.DataFrame({"track_id": names, "split": ["test" if name in test else "train" for name in names]})
    splits = splits[~splits["track_id"].isin({name for name, _ in refused})]
    quarantine = pd.DataFrame(refused or None, columns=["track_id", "rule"], dtype=object).astype(str)
    return pd.DataFrame([dataclasses.asdict(each) for each in tracks]), splits, duplicates, quarantine


def heard(tracks: list[Track], **what) -> list[str]:
    """Whom pretraining may hear, by name."""
    return sorted(to_hear(*tables(tracks, **what))["path"].str.removesuffix(".wav"))


class TestToHear:
    def test_unlabelled_music_is_heard_and_what_is_tested_is_not(self):
        tracks = [track("a", genre="jazz"), track("b", genre="jazz"), track("c")]
        assert heard(tracks, test=["b"], refused=[("c", "genre_present")]) == ["a", "c"]

    def test_nothing_by_an_artist_who_is_tested_is_heard_however_the_name_is_written(self):
        tracks = [
            track("a", group="artist:miles davis", artist="Miles Davis", genre="jazz"),
            track("b", group="artist:miles davis", artist="Miles Davis"),
            track("c", artist="MILES  DAVIS"),
            track("d", group="7"),
            track("e"),
        ]
        assert heard(tracks, test=["a"], refused=[("b", "genre_present"), ("c", "genre_present")]) == ["d", "e"]

    def test_a_copy_of_what_is_tested_is_not_heard_nor_is_anything_else_of_whoever_sells_it(self):
        tracks = [track("a"), track("b", group="sampler"), track("c", group="sampler"), track("d")]
        assert heard(tracks, test=["a"], copies=["a", "b"]) == ["d"]

    def test_of_copies_one_is_heard(self):
        tracks = [track("a"), track("b"), track("c"), track("d", content_hash=track("c").content_hash)]
        assert len(heard(tracks, copies=["a", "b"])) == 2

    def test_what_was_refused_for_its_sound_or_licence_is_left_out_a_label_is_no_reason(self):
        tracks = [track(name) for name in "abcdef"]
        refused = [
            ("a", "not_silent"),
            ("b", "licence_present"),
            ("c", "label_not_withdrawn"),
            ("d", "genre_has_tracks"),
            ("e", "genre_present"),
            ("e", "not_clipped"),
        ]
        assert heard(tracks, refused=refused) == ["c", "d", "f"]

    def test_what_cannot_be_read_is_left_out(self):
        assert heard([track("a"), track("b")], unreadable=["b"]) == ["a"]


class TestUnlabelled:
    LABEL = "genre_present"

    def test_they_are_those_that_were_refused_for_their_label_and_for_nothing_else(self):
        tracks = [track(name) for name in "gfedcba"]
        refused = [
            ("b", self.LABEL),
            ("c", "label_not_withdrawn"),
            ("d", "genre_has_groups"),
            ("e", "not_silent"),
            ("f", self.LABEL),
            ("f", "licence_present"),
            ("g", self.LABEL),
        ]
        found = unlabelled(*tables(tracks, refused=refused, unreadable=["g"]))
        assert found.to_dict("list") == {
            "track_id": ["b", "c", "d"],
            "content_hash": [track(name).content_hash for name in "bcd"],
            "path": ["b.wav", "c.wav", "d.wav"],
        }

    def test_nothing_that_has_to_do_with_the_test_is_among_them(self):
        tracks = [
            track("tested", group="artist:x", artist="X"),
            track("its copy"),
            track("its bytes", content_hash=track("tested").content_hash),
            track("by its artist", artist="x "),
            track("of its group", group="artist:x"),
            track("another"),
        ]
        refused = [(each.track_id, self.LABEL) for each in tracks[1:]]
        found = unlabelled(*tables(tracks, test=["tested"], copies=["tested", "its copy"], refused=refused))
        assert found["track_id"].tolist() == ["another"]

    def test_copies_of_each_other_are_all_there(self):
        tracks = [track("a"), track("b"), track("c")]
        found = unlabelled(*tables(tracks, copies=["a", "b"], refused=[(name, self.LABEL) for name in "abc"]))
        assert found["track_id"].tolist() == ["a", "b", "c"]

    def test_an_id_that_the_catalogue_has_is_not_among_them(self):
        collection, splits, duplicates, quarantine = tables(
            [track("a"), track("b")], refused=[("a", self.LABEL), ("b", self.LABEL)]
        )
        splits = pd.DataFrame({"track_id": ["a"], "split": ["train"]})  # there is a second one of that name
        assert unlabelled(collection, splits, duplicates, quarantine)["track_id"].tolist() == ["b"]

    def test_where_nothing_was_refused_there_are_none(self):
        assert unlabelled(*tables([track("a")])).empty


class TestAkin:
    @pytest.mark.parametrize("seed", range(5))
    def test_who_is_akin_follows_from_any_chain_of_groups_copies_artists_and_bytes(self, seed):
        """Compared with the connected part of a graph, an edge for each thing that two tracks share."""
        rng = np.random.default_rng(seed)
        names = [f"{number:02d}" for number in range(40)]
        tracks = [
            track(
                name,
                group=f"g{rng.integers(80)}",
                artist=rng.choice([None, "unknown", *(f"Artist {number}" for number in range(80))]),
                content_hash=f"{rng.integers(120):064d}",
            )
            for name in names
        ]
        collection, _, duplicates, _ = tables(tracks)
        duplicates["duplicate_group"] = rng.choice([*[None] * 40, *"abcdefghij"], 40)
        shared = [
            [None if value in (None, "unknown") else value for value in column]
            for column in (
                collection["group"],
                collection["artist"].where(collection["artist"].notna(), None),
                collection["content_hash"],
                duplicates["duplicate_group"].where(duplicates["duplicate_group"].notna(), None),
            )
        ]
        near, waiting = set(range(6)), list(range(6))
        while waiting:
            one = waiting.pop()
            for other in range(40):
                if other not in near and any(each[one] is not None and each[one] == each[other] for each in shared):
                    near.add(other)
                    waiting.append(other)
        found = akin(collection, duplicates, names[:6])
        assert 6 < len(near) < 40 and found.to_numpy().nonzero()[0].tolist() == sorted(near)

    def test_nobody_is_akin_to_nobody(self):
        collection, _, duplicates, _ = tables([track("a", group=""), track("b", group="")])
        assert not akin(collection, duplicates, []).any()
