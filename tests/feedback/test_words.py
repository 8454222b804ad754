"""The words of a comment: no address, no number, no sentence comes through."""

import time

import pytest

from earmark.feedback.sources.words import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("So SAD, so slow!", ("sad", "slow")),
        ("love, LOVE, Love", ("love",)),
        ("it's a don’t-care #Chill", ("its", "dont", "care", "chill")),
        ("Größe, naïve, Чайковский, मैंने", ("größe", "naïve", "чайковский", "मैंने")),
        ("track2 90s 1999 a_b_c hello_world", ()),
        ("", ()), ("…!?", ()), ("ab is it", ()),
    ],
)  # fmt: skip
def test_are_distinct_in_small_letters_and_of_letters_only(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    "address",
    [
        "anna.smith@example.org", "ANNA+music@mail.example.co.uk", "https://example.org/anna?x=1",
        "www.example.org/anna",
        "@anna_smith", "example.com/anna", "ftp://anna:secret@example.org", "soundcloud.com", "@anna.smith",
    ],
)  # fmt: skip
def test_hold_no_address_of_a_person_or_a_page(address):
    for text in (address, f"please write {address} today", f"please({address})today"):
        assert set(words_of(text)) <= {"please", "write", "today"}


def test_hold_no_sentence_of_a_script_without_spaces():
    assert words_of("とても良い曲です great ดีมาก 音乐很好听") == ("great",)
    assert words_of("아주 좋은노래 정말로") == ("좋은노래", "정말로")  # Korean has spaces


def test_are_at_most_64_letters_long():
    assert words_of(f"{'a' * 64} {'b' * 65}") == ("a" * 64,)


def test_written_in_two_ways_of_unicode_are_one():
    assert words_of("caf\u00e9 cafe\u0301") == ("caf\u00e9",)


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "a@", "@", "https:", "é", "www."])
def test_are_found_in_a_time_that_grows_with_the_text_alone(piece):
    begun = time.perf_counter()
    words_of(piece * (300_000 // len(piece)))
    assert time.perf_counter() - begun < 5
