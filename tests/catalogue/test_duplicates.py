from collections import Counter
from itertools import combinations

import av
import numpy as np
import pytest

from earmark.audio.fingerprint import PITCH_STEPS_PER_OCTAVE, fingerprint
from earmark.catalogue.copies.candidates import candidates, workers
from earmark.catalogue.copies.duplicates import (
    SAME_AUDIO,
    SAME_FILE,
    SAME_RECORDING,
    Pair,
    closest_kinds,
    find_duplicates,
    groups,
)
from earmark.catalogue.copies.landmarks import landmarks
from earmark.params import Duplicates, load_params
from made_audio import encode_samples
from made_music import RATE_HZ, drum_loop, piece
from scratch import CHECKOUT

SETTINGS: Duplicates = load_params(CHECKOUT / "params.yaml").duplicates


def resampled(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=to_hz)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout="mono")
    frame.sample_rate = from_hz
    return np.concatenate([p.to_ndarray() for p in (*resampler.resample(frame), *resampler.resample(None))], axis=1)


def file_of(samples: np.ndarray, suffix: str = "wav", rate_hz: int = RATE_HZ) -> np.ndarray:
    return fingerprint(encode_samples(samples, suffix, rate_hz))


def limited(samples: np.ndarray) -> np.ndarray:
    return np.tanh(3 * samples).astype(np.float32)


SONG = piece(1)
START = 7.613  # seconds, on no frame's border
EXCERPT = SONG[:, round(START * RATE_HZ) : round((START + 10) * RATE_HZ)]

# name: (the copy's fingerprint, its speed, where it begins in the song in seconds)
COPIES = {
    "mp3": (lambda: file_of(SONG, "mp3"), 1.0, 0.0),
    "aac": (lambda: file_of(SONG, "m4a"), 1.0, 0.0),
    "opus": (lambda: file_of(resampled(SONG, RATE_HZ, 48_000), "opus", 48_000), 1.0, 0.0),
    "louder, clipped": (lambda: file_of(np.clip(2 * SONG, -1, 1)), 1.0, 0.0),
    "softer": (lambda: file_of(0.1 * SONG), 1.0, 0.0),
    "limited": (lambda: file_of(limited(SONG)), 1.0, 0.0),
    "11,025 Hz": (lambda: file_of(resampled(SONG, RATE_HZ, 11_025), "wav", 11_025), 1.0, 0.0),
    "48,000 Hz": (lambda: file_of(resampled(SONG, RATE_HZ, 48_000), "wav", 48_000), 1.0, 0.0),
    "10 s of it": (lambda: file_of(EXCERPT, "mp3"), 1.0, START),
    "with silence before": (lambda: file_of(np.pad(SONG, ((0, 0), (3 * RATE_HZ, 0)))), 1.0, -3.0),
    "1 % slower": (lambda: file_of(resampled(SONG, 99_000, 100_000), "mp3"), 0.99, 0.0),
    "2 % faster": (lambda: file_of(resampled(SONG, 102_000, 100_000), "mp3"), 1.02, 0.0),
}


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    """Six fingerprints of pieces that have nothing to do with each other but their maker."""
    return [file_of(piece(seed)) for seed in (1, 2, 3, 4, 5, 6)]


@pytest.fixture(scope="module")
def copies() -> dict[str, np.ndarray]:
    return {name: make() for name, (make, _, _) in COPIES.items()}


def search(fingerprints: list[np.ndarray], processes: int = 1) -> list[Pair]:
    """All pairs, by nothing but sound."""
    hashes = [str(number) for number in range(len(fingerprints))]
    return find_duplicates(hashes, [None] * len(hashes), fingerprints, SETTINGS, processes=processes)


def numbers(pairs: list[Pair]) -> set[tuple[int, int]]:
    return {(pair.first, pair.second) for pair in pairs}


class TestEveryKindOfCopy:
    @pytest.mark.parametrize("name", COPIES)
    def test_it_is_found_with_its_speed_and_place_and_nothing_else_is(self, name, songs, copies):
        _, speed, start_s = COPIES[name]
        (pair,) = search([*songs, copies[name]])
        assert (pair.first, pair.second, pair.kind) == (0, 6, SAME_RECORDING)
        assert pair.alignment.speed == pytest.approx(speed, abs=0.001)
        assert pair.alignment.offset_s == pytest.approx(start_s, abs=0.06)

    def test_all_of_them_are_one_group(self, songs, copies):
        found = groups(search([*songs, *copies.values()]), len(songs) + len(copies))
        assert found.tolist() == [0, -1, -1, -1, -1, -1, *[0] * len(copies)]


class TestWhatIsNoCopy:
    def test_pieces_over_the_same_drum_loop_at_the_same_tempo(self):
        loop = drum_loop(9)
        assert search([file_of(piece(seed, drums=loop)) for seed in range(20, 26)]) == []

    def test_silence_of_different_lengths(self):
        assert (
            search([file_of(np.zeros((1, RATE_HZ * seconds), np.float32)) for seed, seconds in enumerate((5, 8, 8))])
            == []
        )

    def test_tones_drones_and_hum(self):
        time = np.arange(10 * RATE_HZ) / RATE_HZ
        noise = np.random.default_rng(1).normal(0, 0.001, (4, 1, len(time)))
        tone = 0.5 * np.sin(2 * np.pi * 440 * time)[None]
        hum = sum(np.sin(2 * np.pi * 50 * k * time)[None] / k for k in range(1, 40)) / 4
        drone = sum(np.sin(2 * np.pi * f * time)[None] for f in (220, 277.2, 329.6, 440, 554.4, 659.3)) / 8
        sounds = [part + noise[number] for number, part in enumerate((tone, tone, hum, hum))]
        sounds += [drone + noise[0], drone + noise[1], tone[:, : 5 * RATE_HZ], drone[:, RATE_HZ:]]
        assert search([file_of(np.asarray(sound, np.float32)) for sound in sounds]) == []

    def test_the_same_notes_played_again_by_another_hand(self):
        random = np.random.default_rng(5)
        stretched = [SONG[:, round(a * RATE_HZ) : round((a + 1.24) * RATE_HZ)] for a in np.arange(0, 22, 1.24)]
        again = [resampled(bar, round(RATE_HZ * random.uniform(0.9, 1.1)), RATE_HZ) for bar in stretched]
        assert search([file_of(SONG), file_of(np.concatenate(again, axis=1))]) == []

    @pytest.mark.parametrize(("too_long_s", "found"), [(-0.5, set()), (0.5, {(0, 1)})])
    def test_an_overlap_shorter_than_the_setting(self, songs, too_long_s, found):
        seconds = SETTINGS.min_overlap_s + too_long_s
        assert numbers(search([songs[0], file_of(SONG[:, : round(seconds * RATE_HZ)])])) == found

    def test_a_remix_that_quotes_the_first_third(self, songs):
        remix = np.concatenate([SONG[:, : 8 * RATE_HZ], piece(7, 16.0)], axis=1)
        assert search([songs[0], file_of(remix)]) == []


class TestTheSearch:
    def test_the_order_of_the_tracks_does_not_change_the_groups(self, songs, copies):
        named = {f"song {number}": song for number, song in enumerate(songs)} | copies

        def grouped(names: list[str]) -> set[frozenset[str]]:
            found = groups(search([named[name] for name in names]), len(names))
            return {frozenset(np.array(names)[found == first].tolist()) for first in set(found.tolist()) - {-1}}

        names = sorted(named)
        shuffled = np.random.default_rng(2).permutation(names).tolist()
        assert grouped(names) == grouped(shuffled) == {frozenset(copies) | {"song 0"}}

    def test_growth_leaves_the_pairs_that_were_there(self, songs, copies):
        before = [songs[0], copies["mp3"], songs[1]]
        after = [*before, *songs[2:], file_of(piece(2), "mp3"), copies["opus"]]
        old, new = search(before), search(after)
        assert numbers(old) == {(0, 1)}
        assert {pair for pair in numbers(new) if max(pair) < 3} == numbers(old)
        assert (2, 7) in numbers(new)

    def test_two_processes_find_what_one_finds(self, songs, copies):
        assert search([*songs, *copies.values()], processes=2) == search([*songs, *copies.values()])

    def test_a_recording_with_very_many_copies_is_one_group(self, songs):
        random = np.random.default_rng(3)
        many = []
        for _ in range(50):
            peaks = songs[0][:-1][random.random(len(songs[0]) - 1) > 0.05]
            many.append(np.concatenate([peaks, songs[0][-1:]]))
        assert groups(search([*songs[1:], *many]), 55).tolist() == [-1] * 5 + [5] * 50

    def test_fewer_than_two_tracks_have_no_pairs(self, songs):
        assert search([]) == search(songs[:1]) == []


class TestEqualHashes:
    def test_equal_files_and_equal_audio_need_no_search(self):
        class Unopened:
            def __len__(self) -> int:
                return 5

            def __getitem__(self, number: int) -> np.ndarray:
                assert number in (0, 4)  # one of those that are equal, and the other one
                return file_of(piece(number, 6.0))

        found = find_duplicates("aabcd", ["x", "x", "x", "x", None], Unopened(), SETTINGS, processes=1)
        assert found == [Pair(0, 1, SAME_FILE), Pair(0, 2, SAME_AUDIO), Pair(0, 3, SAME_AUDIO)]
        assert groups(found, 5).tolist() == [0, 0, 0, 0, -1]

    def test_the_closest_kind_is_told_for_each_track(self):
        pairs = [Pair(0, 1, SAME_RECORDING), Pair(1, 2, SAME_FILE), Pair(0, 4, SAME_AUDIO)]
        assert closest_kinds(pairs, 5) == [SAME_AUDIO, SAME_FILE, SAME_FILE, None, SAME_AUDIO]


class TestGroups:
    def test_they_are_what_following_the_pairs_gives(self):
        random = np.random.default_rng(4)
        edges = {tuple(sorted(random.choice(60, 2, replace=False).tolist())) for _ in range(35)}
        group = list(range(60))
        for _ in range(60):
            for one, two in edges:
                group[one] = group[two] = min(group[one], group[two])
        sizes = Counter(group)
        expected = [first if sizes[first] > 1 else -1 for first in group]
        assert groups([Pair(*edge, SAME_RECORDING) for edge in sorted(edges)], 60).tolist() == expected


class TestLandmarks:
    def test_a_recording_has_the_same_alone_and_among_others(self, songs):
        together = landmarks(songs)
        for number, song in enumerate(songs):
            alone = landmarks([song])
            mine = together.recording == number
            assert sorted(zip(alone.word, alone.time_ms, strict=True)) == sorted(
                zip(together.word[mine], together.time_ms[mine], strict=True)
            )

    def test_most_outlive_a_copy_that_runs_2_percent_faster(self, songs):
        faster = songs[0].copy()
        faster["time_ms"] = np.rint(songs[0]["time_ms"] / 1.02)
        faster["pitch"][:-1] += round(np.log2(1.02) * PITCH_STEPS_PER_OCTAVE)
        own, same = set(landmarks([songs[0]]).word.tolist()), set(landmarks([faster]).word.tolist())
        assert len(own & same) > 0.5 * len(own)


class TestCandidates:
    @pytest.mark.parametrize(("at_places", "words"), [(1, 99), (3, 99), (5, 99), (99, 1), (99, 5), (99, 150), (5, 60)])
    def test_they_are_the_pairs_that_share_so_many_words_or_share_them_at_so_many_places_equally_far_apart(
        self, songs, copies, at_places, words, tmp_path
    ):
        everything = [*songs, *copies.values()]
        places = [first_places(each) for each in everything]
        expected = [
            [one, two]
            for one, two in combinations(range(len(places)), 2)
            if most_places_in_line(places[one], places[two]) >= at_places
            or len(places[one].keys() & places[two].keys()) >= words
        ]
        with workers(everything, 1) as run:
            found = np.concatenate(list(candidates(run, len(everything), tmp_path, at_places=at_places, words=words)))
        assert found.tolist() == expected
        assert 0 < len(expected) < len(everything) * (len(everything) - 1) / 2

    def test_one_passage_that_two_share_makes_no_pair(self, songs, tmp_path):
        one, two = songs[0], songs[1].copy()
        passage = one[:-1][(one["time_ms"][:-1] >= 2_000) & (one["time_ms"][:-1] < 4_000)]
        rest = two[:-1][two["time_ms"][:-1] >= 4_000]
        quoting = np.concatenate([passage, rest, two[-1:]])
        assert len(first_places(one).keys() & first_places(quoting).keys()) >= 3
        with workers([one, quoting], 1) as run:
            assert not len(np.concatenate(list(candidates(run, 2, tmp_path, at_places=3, words=99))))


def first_places(fingerprint) -> dict[int, int]:
    """Where each word stands, in steps of 2 s modulo 128 s; the smallest, where it stands at several."""
    places: dict[int, int] = {}
    found = landmarks([fingerprint])
    for word, time_ms in zip(found.word.tolist(), found.time_ms.tolist(), strict=True):
        place = time_ms // 2_000 % 64
        places[word] = min(place, places.get(word, place))
    return places


def most_places_in_line(one: dict[int, int], two: dict[int, int]) -> int:
    shared = [(place, (two[word] - place) % 64) for word, place in one.items() if word in two]
    return max(len({place for place, apart in shared if (apart - least) % 64 in (0, 1)}) for least in range(64))
