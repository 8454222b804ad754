"""The listeners' words become one vocabulary: spellings are merged, what says nothing about the music is left out."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.feedback.estimates.words import in_vocabulary, vocabulary
from earmark.feedback.simulation.saying import NOISE, SPELLINGS, WORDS
from estimate_tools import words_said


def said(*words: str, listeners: int = 3, kind: str = "tag", track: int = 0) -> pd.DataFrame:
    """Each of so many listeners says each of ``words``."""
    return words_said(*((track, who, kind, word) for who in range(listeners) for word in words))


def kept(*parts: pd.DataFrame, tracks: int = 100, least: int = 3, share: float = 0.5) -> dict[str, str]:
    return dict(vocabulary(pd.concat(parts, ignore_index=True), tracks, min_listeners=least, max_share=share))


class TestSpellings:
    @pytest.mark.parametrize(
        "spellings",
        [
            ("hip hop", "Hip-Hop", "hiphop", "HIP HOP!", "#hiphop", " hip_hop ", "hip  hop", "hip.hop"),
            ("r&b", "R&B", "r & b"),
            ("80s pop", "80s-pop", "80S POP"),
            ("Straße", "STRASSE", "straße"),
            ("café", "cafe\u0301", "Café"),
            ("ｔｅｃｈｎｏ", "techno"),
            ("мрачное", "Мрачное", "МРАЧНОЕ!"),
            ("ﬁlm", "film"),
        ],
        ids=lambda spellings: spellings[0],
    )
    def test_of_one_word_become_one(self, spellings):
        words = kept(said(*spellings))
        assert set(words) == set(spellings)
        assert len(set(words.values())) == 1

    def test_that_most_listeners_use_is_kept_and_of_equal_ones_the_first_by_the_alphabet(self):
        assert kept(said("Hip-Hop", listeners=5), said("hip hop", listeners=4))["hip hop"] == "hip-hop"
        assert kept(said("Hip-Hop", "hiphop", "hip hop"))["hiphop"] == "hip hop"

    def test_is_counted_by_listeners_and_not_by_how_often_they_say_it(self):
        eager = words_said(*((track, 1, "tag", "hip hop") for track in range(30)))
        assert kept(eager, said("hiphop", listeners=4))["hip hop"] == "hiphop"

    @pytest.mark.parametrize(
        ("many", "one"), [("ballads", "ballad"), ("melodies", "melody"), ("waltzes", "waltz"), ("guitars", "guitar")]
    )
    def test_of_a_plural_are_those_of_its_singular_where_that_is_said_too(self, many, one):
        words = kept(said(many, listeners=4), said(one, listeners=5))
        assert words == {many: one, one: one}
        assert kept(said(many)) == {many: many}

    @pytest.mark.parametrize("word", ["bass", "brass", "blues", "1990s", "80s", "gas"])
    def test_that_only_end_like_a_plural_stay(self, word):
        assert kept(said(word, listeners=4), said(word.removesuffix("s"), listeners=5))[word] == word

    def test_keep_apart_what_differs_in_letters(self):
        assert len(set(kept(said("sad", "mad", "sadness")).values())) == 3

    @pytest.mark.parametrize(
        "word", ["日本語", "हिन्दी", "ไทย", "العربية", "עברית", "русский рок", "k-pop", "drum'n'bass", "Ñu"]
    )
    def test_of_all_scripts_stay_whole(self, word):
        assert kept(said(word)) == {word: word.casefold()}

    def test_that_differ_in_a_vowel_alone_stay_apart_where_vowels_are_marks(self):
        assert kept(said("दिल", "दाल")) == {"दिल": "दिल", "दाल": "दाल"}


class TestWhatIsSaid:
    def settled(self, *rows: tuple) -> list:
        words = in_vocabulary(words_said(*rows), min_listeners=3, max_share=1.0)["word"]
        return [word if isinstance(word, str) else None for word in words]

    def test_is_said_in_the_words_of_the_vocabulary_or_in_none(self):
        texts = ["Hip-Hop", "hip hop", "hip hop", "rare", "rare"]
        rows = [(0, who, ("tag", "comment")[who % 2], text) for who, text in enumerate(texts)]
        assert self.settled(*rows) == ["hip hop"] * 3 + [None] * 2

    def test_leaves_feelings_as_they_are_and_counts_no_one_for_them(self):
        rows = [(0, who, "feeling", "Joy!", 1.0) for who in range(9)]
        assert self.settled(*rows, (0, 1, "tag", "joy")) == ["Joy!"] * 9 + [None]

    def test_may_be_nothing(self):
        assert self.settled() == []


class TestWhatIsLeftOut:
    def test_what_fewer_listeners_say_than_the_least(self):
        assert kept(said("rare", listeners=2), said("calm", listeners=3)) == {"calm": "calm"}
        once_each = words_said(*((track, 1, "tag", "mine") for track in range(50)))
        assert kept(once_each) == {}

    def test_but_all_spellings_together_have_to_be_said_by_so_many(self):
        parts = [words_said((0, who, "tag", text)) for who, text in enumerate(("lo-fi", "Lo Fi", "lofi"))]
        assert set(kept(*parts).values()) == {"lo fi"}

    def test_what_stands_at_more_than_the_most_of_the_tracks(self):
        everywhere = [said("music", track=track) for track in range(6)]
        assert kept(*everywhere, tracks=10) == {}
        assert kept(*everywhere[:5], tracks=10) == {"music": "music"}

    def test_but_a_word_at_one_track_is_not_at_too_many(self):
        assert kept(said("calm"), tracks=1) == {"calm": "calm"}

    @pytest.mark.parametrize(
        "word",
        ["favourites", "Favorite!", "seen live", "to check", "my playlist 3", "I own", "spotify", "MP3", "library"],
    )
    def test_what_speaks_of_the_listener(self, word):
        assert kept(said(word, listeners=50)) == {}

    @pytest.mark.parametrize("word", ["1984", "5", "10/10", "٣٤", "!!!", "♥♥", "", "x", "-", "a&"])
    def test_numbers_marks_and_single_letters(self, word):
        assert kept(said(word, listeners=50)) == {}
        assert kept(said(word, "calm", listeners=50)) == {"calm": "calm"}

    def test_common_words_of_comments_but_not_of_tags(self):
        assert kept(said("the", "again", "calm", kind="comment")) == {"calm": "calm"}
        assert kept(said("again")) == {"again": "again"}

    def test_nothing_where_nothing_is_said(self):
        assert vocabulary(words_said(), 0, min_listeners=3, max_share=0.5) == {}


class TestTheVocabulary:
    def test_does_not_depend_on_the_order_of_what_is_said(self):
        rows = pd.concat([said("hip hop", "Hip-Hop", "ballads"), said("ballad", "hiphop", listeners=4)])
        expected = kept(rows)
        for seed in range(5):
            assert kept(rows.sample(frac=1, random_state=seed)) == expected

    def test_finds_the_words_of_the_made_up_listeners_and_nothing_else(self):
        rows = pd.concat([said(text, track=place, listeners=4) for place, text in enumerate(SPELLINGS)])
        rows = pd.concat([rows, *(said(word, track=900, listeners=9) for word in WORDS)])  # the commonest spelling
        words = kept(rows, tracks=1_000)
        assert set(words.values()) == set(WORDS)
        assert set(words) == set(SPELLINGS) - set(NOISE)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
    def test_is_at_home_in_itself(self, texts):
        words = kept(said(*texts), tracks=10**6)
        for text, word in words.items():
            assert text in texts
            assert word == word.strip()
            # What is kept for a word is kept for itself, by the same rules.
            assert kept(said(word))[word] == word
