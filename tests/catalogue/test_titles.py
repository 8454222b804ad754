"""Names made comparable: the same song matches itself however it is written, and another recording does not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.catalogue.labels.titles import artist_keys, isrc_key, title_key

SAME = [
    ("Feeling Good", "FEELING  good!"),
    ("Déjà Vu", "Deja vu"),
    ("Don’t Stop", "Don't Stop"),
    ("Don't Stop", "Dont Stop"),
    ("Rock & Roll", "Rock and Roll"),
    ("The Sound of Silence", "Sound of Silence"),
    ("Come Together - Remastered 2009", "Come Together"),
    ("Come Together - 2009 Remaster", "Come Together (Remastered)"),
    ("Come Together - Remastered Version 2009", "Come Together"),
    ("Come Together (2019 Digital Remaster)", "Come Together"),
    ("She Loves You - Mono / Remastered", "She Loves You"),
    ("Song (feat. Somebody)", "Song"),
    ("Song (ft. Somebody & Another, A Third)", "Song"),
    ("Song feat. Somebody", "Song"),
    ("Song [Featuring Somebody]", "Song"),
    ("Song (Album Version)", "Song (Single Version)"),
    ("Song (Explicit)", "Song [Bonus Track]"),
    ("Song (Live)", "Song - Live"),
    ("Song - Live at Newport; 2015 Remaster", "Song (Live at Newport)"),
    ("Song (feat. Somebody) [Live]", "Song feat. Somebody (Live)"),
    ("(Sittin' On) The Dock of the Bay", "Sittin’ on the Dock of the Bay"),
    ("Straße", "STRASSE"),
    ("Mø", "Mo"),
    ("夜に駆ける（Remastered）", "夜に駆ける"),
    ("Ёлка", "Елка"),
    ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
    ("مَرْحَبًا", "مرحبا"),
]
OTHER = [
    ("Song", "Song (Live)"),
    ("Song", "Song - Live at Wembley"),
    ("Song", "Song (Somebody's Remix)"),
    ("Song", "Song (Acoustic)"),
    ("Song", "Song - Instrumental"),
    ("Song", "Song (Karaoke Version)"),
    ("Song", "Song - Radio Edit"),
    ("Song", "Song (Demo)"),
    ("Song", "Song feat. Somebody (Live)"),
    ("Song", "Song (feat. Somebody - Live)"),
    ("Song", "Song (Live / Remastered)"),
    ("Song", "Song, Pt. 2"),
    ("Song 1", "Song 2"),
    ("Song (One's Remix)", "Song (Another's Remix)"),
    ("がき", "かき"),
    ("กา", "กี"),
    ("???", "!!!"),
    ("+", "÷"),
    ("夜に駆ける", "群青"),
]


class TestTitles:
    @pytest.mark.parametrize(("one", "other"), SAME)
    def test_of_one_recording_are_equal(self, one, other):
        assert title_key(one) == title_key(other) != ""

    @pytest.mark.parametrize(("one", "other"), OTHER)
    def test_of_two_recordings_differ(self, one, other):
        assert title_key(one) != title_key(other)

    @pytest.mark.parametrize("title", ["(Remastered)", "[feat. X]", "- Mono", "The", "()", "Remastered", "…"])
    def test_of_what_is_usually_dropped_alone_are_not_emptied(self, title):
        assert title_key(title)

    @pytest.mark.parametrize("title", [None, ""])
    def test_that_are_none_are_empty(self, title):
        assert title_key(title) == ""

    @given(st.text(min_size=1).filter(lambda text: text.strip() != "" and any(letter.isalnum() for letter in text)))
    def test_with_a_letter_or_digit_of_any_script_survive(self, title):
        assert title_key(title)

    @given(st.text())
    def test_are_the_same_in_composed_and_decomposed_writing(self, title):
        composed, decomposed = (unicodedata.normalize(form, title) for form in ("NFC", "NFD"))
        assert title_key(composed) == title_key(decomposed)


class TestArtists:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (["The Beatles"], ["beatles"]),
            (["Beyoncé"], ["BEYONCE"]),
            (["Jay-Z & Alicia Keys"], ["JAY-Z", "Alicia Keys"]),
            (["A feat. B"], ["B"]),
            (["Simon & Garfunkel"], ["Simon and Garfunkel"]),
            (["AC/DC"], ["AC-DC"]),
            (["X"], ["X"]),
            (["宇多田ヒカル"], ["宇多田ヒカル"]),
            (["!!!"], ["!!!"]),
            (["Tyler, The Creator"], ["Tyler, the Creator"]),
        ],
    )
    def test_who_are_one_or_have_one_in_common_meet(self, one, other):
        assert artist_keys(one) & artist_keys(other)

    @pytest.mark.parametrize(
        ("one", "other"), [("Sand", "S"), ("Anderson", "Person"), ("Alexa", "Ale"), ("Кино", "Мираж")]
    )
    def test_who_are_others_do_not(self, one, other):
        assert not artist_keys([one]) & artist_keys([other])

    @pytest.mark.parametrize("nobody", ["Various Artists", "VARIOUS", "Unknown Artist", "", "N/A"])
    def test_nobody_is_nobody(self, nobody):
        assert not artist_keys([nobody]) - {"n", "a"}


class TestIsrc:
    @pytest.mark.parametrize(
        "text", ["USRC17607839", "us-rc1-76-07839", " US RC1 76 07839 ", "ISRC US-RC1-76-07839", "ISRC:USRC17607839"]
    )
    def test_is_one_however_written(self, text):
        assert isrc_key(text) == "USRC17607839"

    @pytest.mark.parametrize(
        "text", [None, "", "USRC1760783", "USRC176078399", "1SRC17607839", "unknown", "USRC1760783X"]
    )
    def test_of_another_shape_is_none(self, text):
        assert isrc_key(text) is None
