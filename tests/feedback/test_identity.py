"""Listeners as keyed hashes, and the key's file; events as numbers that follow from what they are."""

import hashlib
import itertools
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.errors import FeedbackError
from earmark.feedback.event import KINDS, Song
from earmark.feedback.identity import KEY, NOBODY, ListenerKey, event_ids, key_file, load_key, song_id, word_id

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Settings of a user who has none yet; nobody's real ones."""
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


class TestAListenersNumber:
    def test_is_the_hmac_of_service_and_name_cut_to_63_bits(self):
        digest = hmac_sha256(SECRET.encode(), b"spotify\0wanda")
        assert ListenerKey(SECRET.encode()).id_of("spotify", "wanda") == int.from_bytes(digest[:8], "big") % 2**63

    def test_is_the_same_for_the_same_name(self):
        assert ListenerKey(b"k" * 16).id_of("radio", "ann") == ListenerKey(b"k" * 16).id_of("radio", "ann")

    def test_is_the_same_whether_an_accent_is_a_sign_of_its_own_or_not(self):
        key = ListenerKey(b"k" * 16)
        assert key.id_of("radio", "Andre\N{COMBINING ACUTE ACCENT}") == key.id_of(
            "radio", "Andr\N{LATIN SMALL LETTER E WITH ACUTE}"
        )

    def test_is_another_under_another_key(self):
        assert ListenerKey(b"k" * 16).id_of("radio", "ann") != ListenerKey(b"j" * 16).id_of("radio", "ann")

    def test_is_another_at_another_service_and_of_another_name(self):
        key = ListenerKey(b"k" * 16)
        asked = [
            ("", "ann"),
            ("radio", "ann"),
            ("spotify", "ann"),
            ("radio", "Ann"),
            ("radioann", ""),
            ("radioa", "nn"),
        ]
        assert len({key.id_of(*each) for each in asked}) == len(asked)

    @given(st.text(), st.text())
    def test_is_never_nobodys_and_fits_a_signed_column_whatever_the_name(self, service, name):
        assert NOBODY < ListenerKey(b"k" * 16).id_of(service, name) < 2**63

    def test_of_half_a_character_is_one_too(self):
        assert ListenerKey(b"k" * 16).id_of("radio", "\ud800") != ListenerKey(b"k" * 16).id_of("radio", "\ud801")

    def test_cannot_be_told_from_the_fingerprint_and_the_fingerprint_is_not_the_key(self):
        key = ListenerKey(SECRET.encode())
        assert key.fingerprint != ListenerKey(SECRET.encode() + b"!").fingerprint
        assert len(key.fingerprint) == 16 and SECRET not in key.fingerprint
        assert int(key.fingerprint, 16) % 2**63 != key.id_of("", "earmark listener key")


class TestTheKey:
    def test_is_made_once_and_only_its_owner_may_read_it(self, home):
        first = load_key()
        path = home / "settings" / "earmark" / "listener.key"
        assert key_file() == path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip().encode() == first.secret and len(first.secret) >= 32
        assert load_key() == first
        assert [file.name for file in path.parent.iterdir()] == ["listener.key"]

    def test_is_made_with_those_rights_under_any_umask(self, home):
        old = os.umask(0)
        try:
            load_key()
        finally:
            os.umask(old)
        assert stat.S_IMODE(key_file().stat().st_mode) == 0o600

    def test_is_another_for_every_user(self, home, monkeypatch):
        first = load_key()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "other"))
        assert load_key() != first

    def test_lies_in_the_home_where_no_other_place_is_named(self, home, monkeypatch):
        monkeypatch.delenv("XDG_CONFIG_HOME")
        assert key_file() == home / "home" / ".config" / "earmark" / "listener.key"
        load_key()
        assert key_file().is_file()

    def test_of_processes_that_begin_at_once_is_one(self, home):
        code = (
            "import sys\n"
            "from earmark.feedback.identity import load_key\n"
            "sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.readline()\n"
            "print(load_key().fingerprint)\n"
        )
        together = [
            subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for each in together:
            assert each.stdout is not None and each.stdout.readline() == "ready\n"
        for each in together:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        told = {each.communicate(timeout=60)[0].strip() for each in together}
        assert told == {load_key().fingerprint}
        assert [file.name for file in key_file().parent.iterdir()] == ["listener.key"]

    def test_that_another_process_made_a_moment_earlier_stays_and_is_used(self, monkeypatch):
        def meanwhile(size: int) -> str:
            if not key_file().exists():
                key_file().write_text("the one of the other process\n")
            return "0" * size

        monkeypatch.setattr("earmark.feedback.identity.secrets.token_hex", meanwhile)
        assert load_key() == load_key() == ListenerKey(b"the one of the other process")

    def test_in_the_environment_wins_and_makes_no_file(self, monkeypatch):
        load_key()
        monkeypatch.setenv(KEY, SECRET)
        assert load_key() == ListenerKey(SECRET.encode())
        key_file().unlink()
        load_key()
        assert not key_file().exists()

    def test_from_the_file_put_into_the_environment_is_the_same(self, monkeypatch):
        made = load_key()
        monkeypatch.setenv(KEY, key_file().read_text().strip())
        assert load_key() == made

    @pytest.mark.parametrize("text", ["secret", "x" * 15])
    def test_that_is_too_short_is_an_error_that_does_not_show_it(self, monkeypatch, text):
        monkeypatch.setenv(KEY, text)
        with pytest.raises(FeedbackError, match=f"{KEY} has {len(text)} characters; at least 16") as raised:
            load_key()
        assert text not in str(raised.value)
        monkeypatch.delenv(KEY)
        load_key()
        key_file().write_text(text)
        with pytest.raises(FeedbackError, match=r"listener\.key has"):
            load_key()

    def test_of_just_enough_characters_will_do(self, monkeypatch):
        monkeypatch.setenv(KEY, "x" * 16)
        assert load_key().secret == b"x" * 16

    def test_that_was_lost_is_not_made_up_silently_where_the_file_is_empty(self):
        load_key()
        key_file().write_text("")
        with pytest.raises(FeedbackError, match="has 0 characters"):
            load_key()

    def test_that_cannot_be_kept_is_an_error_that_says_what_to_do(self, home, monkeypatch):
        (home / "settings").write_text("a file where the folder should be")
        with pytest.raises(FeedbackError, match=f"cannot be read or made at .*{KEY}"):
            load_key()

    def test_that_is_no_text_is_an_error_too(self):
        load_key()
        key_file().write_bytes(b"\xff\xfe" * 32)
        with pytest.raises(FeedbackError, match="cannot be read or made"):
            load_key()


class TestASongsNumber:
    def test_follows_from_its_service_and_its_key_there_and_from_nothing_else(self):
        plain = Song("radio", "1")
        assert song_id(plain) == song_id(Song("radio", "1", "Title", "Artist", "Album", "ISRC", 3.0, "track", 5))
        assert (
            len({song_id(plain), song_id(Song("radio", "2")), song_id(Song("fm", "1")), song_id(Song("radio1", ""))})
            == 4
        )

    @given(st.text(), st.text())
    def test_fits_a_signed_column(self, service, key):
        assert 0 < song_id(Song(service, key)) < 2**63
        assert 0 < word_id(key) < 2**63


EVENTS = st.tuples(
    st.sampled_from([NOBODY, 1, 2, 2**63 - 1]),  # listener
    st.sampled_from([1, 2, 2**62]),  # song
    st.sampled_from(KINDS),
    st.sampled_from([None, 0, 1, 1_700_000_000_000_000, 1_700_000_000_000_001]),  # at_us
    st.sampled_from([None, 0, 1, 180_000]),  # ms_played
    st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]),  # value
    st.sampled_from(["", "calm", "loud"]),  # word
)


def ids(events: list[tuple]) -> list[int]:
    listeners, songs, kinds, at_us, ms_played, values, words = (list(column) for column in zip(*events, strict=True))

    def whole(column: list) -> np.ndarray:
        return np.array([-1 if each is None else each for each in column], dtype=np.int64)

    return event_ids(
        np.array(listeners, dtype=np.int64), np.array(songs, dtype=np.int64), kinds, whole(at_us), whole(ms_played),
        np.array([np.nan if each is None else each for each in values]),
        np.array([word_id(word) if word else 0 for word in words], dtype=np.int64),
    ).tolist()  # fmt: skip


def essence(event: tuple) -> tuple:
    """What an event is: without a time a state, whatever its value and its length are just now."""
    listener, song, kind, at_us, *_, word = event
    return (listener, song, kind, word) if at_us is None else event


class TestAnEventsNumber:
    @settings(max_examples=300, deadline=None)
    @given(st.lists(EVENTS, min_size=1, max_size=200))
    def test_is_equal_for_equal_events_and_different_for_different_ones(self, events):
        numbers: dict[tuple, set[int]] = {}
        for event, number in zip(events, ids(events), strict=True):
            numbers.setdefault(essence(event), set()).add(number)
        assert all(len(each) == 1 for each in numbers.values())
        assert len(set().union(*numbers.values())) == len(numbers)

    def test_tells_all_apart_that_differ_in_one_thing_only(self):
        columns = ([0, 1, 2], [1, 2], KINDS, [0, 1, 10**15], [None, 0, 180_000], [None, 0.0, 1.0], ["", "calm"])
        every = list(itertools.product(*columns))
        assert len(set(ids(every))) == len(every) == 3 * 2 * 8 * 3 * 3 * 3 * 2

    def test_does_not_depend_on_what_stands_beside_it(self):
        events = [(1, 1, "play", 10**15 + n, 180_000, None, "") for n in range(50)]
        assert ids(events) == [ids([event])[0] for event in events]

    def test_is_a_chain_of_splitmix64_steps_so_that_stores_of_today_are_read_tomorrow(self):
        def mixed(value: int) -> int:
            value = (value + 0x9E3779B97F4A7C15) % 2**64
            value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
            return value ^ value >> 31

        found = 0x9E3779B97F4A7C15
        for column in (7, 8, 5, 1_700_000_000_000_000, -1, 250_000, word_id("calm")):  # 5: a rating
            found = mixed(found ^ column % 2**64)
        assert ids([(7, 8, "rating", 1_700_000_000_000_000, None, 0.25, "calm")]) == [found % 2**63]

    def test_fits_a_signed_column_and_is_spread_evenly(self):
        found = np.array(ids([(1, 1, "play", number, 0, None, "") for number in range(20_000)]))
        assert (found >= 0).all()
        shares = np.bincount((found >> 60).astype(int), minlength=8) / len(found)
        assert np.abs(shares - 1 / 8).max() < 0.01
