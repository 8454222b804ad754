"""Facts: true of signals whose tempo, key and loudness are known, whatever their level and length."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from earmark.audio.facts import Facts, facts_of
from earmark.audio.facts.confidence import LEAST
from earmark.audio.facts.key import TONICS, tuning_of
from earmark.audio.facts.stretches import stretches
from earmark.audio.facts.tempo import COMPRESSION, MELS, onset_strength
from earmark.audio.metering import measure
from earmark.errors import AudioError
from made_audio import encode_samples
from made_music import RATE_HZ as PIECE_HZ
from made_music import piece

RATE = 16_000
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11)


def facts(sound: np.ndarray, rate_hz: int = RATE, lufs: float | None = None) -> Facts:
    return facts_of(torch.from_numpy(np.asarray(sound, dtype=np.float32)), rate_hz, loudness_lufs=lufs)


def noise(seconds: float, *, rms: float = 0.1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, rms, round(seconds * RATE))


def drums(bpm: float, seconds: float = 30.0, *, swing: float = 0.5, rate_hz: int = RATE) -> np.ndarray:
    """A low thump on each beat, a hiss on each second one, ticks on all halves of beats; steady to the sample."""
    random, sound, beat_s = np.random.default_rng(7), np.zeros(round(seconds * rate_hz)), 60 / bpm
    since = np.arange(rate_hz // 8) / rate_hz
    thump = np.sin(2 * np.pi * 60 * since) * np.exp(-20 * since)
    hiss, tick = (random.normal(0, 1, len(since)) * np.exp(-fall * since) for fall in (30, 90))
    for beat in range(int(seconds / beat_s) + 1):
        hits = [(0.0, thump), (0.0, 0.2 * tick), (swing, 0.2 * tick)] + [(0.0, 0.4 * hiss)] * (beat % 2)
        for late, hit in hits:
            at = round((beat + late) * beat_s * rate_hz)
            sound[at : at + len(hit)] += hit[: len(sound[at : at + len(hit)])]
    return 0.3 * sound


def clicks(bpm: float, seconds: float = 30.0) -> np.ndarray:
    """A short burst of noise on each beat, and nothing between."""
    sound, burst = np.zeros(round(seconds * RATE)), noise(0.025, seed=1) * np.exp(-np.arange(400) / 80)
    for beat in range(int(seconds * bpm / 60)):
        at = round(beat * 60 / bpm * RATE)
        sound[at : at + 400] += burst[: len(sound) - at]
    return sound


def chords(tonic: int, *, minor: bool = False, seconds: float = 16.0, cents: float = 0.0) -> np.ndarray:
    """I IV V I, a second each, of tones with five partials; the root below."""
    scale, sound = MINOR if minor else MAJOR, np.zeros(round(seconds * RATE))
    time = np.arange(RATE) / RATE
    for second in range(int(seconds)):
        root = (0, 3, 4, 0)[second % 4]
        degrees = [(root, -12), *((root + third, 0) for third in (0, 2, 4))]
        for degree, lower in degrees:
            pitch = 60 + lower + (tonic + scale[degree % 7]) % 12 + cents / 100
            hertz = 440 * 2 ** ((pitch - 69) / 12)
            tone = sum(np.sin(2 * np.pi * partial * hertz * time) / partial for partial in range(1, 6))
            sound[second * RATE :][:RATE] += 0.05 * tone * np.exp(-2 * time)
    return sound


def distance(bpm: float, truth: float) -> float:
    """Of two tempi, but for a factor of 2 or 3."""
    return min(abs(bpm * factor / truth - 1) for factor in (1, 2, 3, 1 / 2, 1 / 3))


class TestTempo:
    @pytest.mark.parametrize("bpm", [72, 90.5, 103, 120, 133.3, 150])
    @pytest.mark.parametrize("swing", [0.5, 0.6])
    def test_that_of_drums_is_found_to_half_a_per_cent(self, bpm, swing):
        found = facts(drums(bpm, swing=swing)).tempo
        assert distance(found.bpm, bpm) < 0.005 and found.confidence > 0.8

    @pytest.mark.parametrize("bpm", [100, 110, 125])
    def test_the_beat_itself_is_told_where_listeners_tap_it(self, bpm):
        assert facts(drums(bpm)).tempo.bpm == pytest.approx(bpm, rel=0.005)

    @pytest.mark.parametrize("bpm", [60, 70, 85])
    def test_twice_as_fast_is_twice_the_tempo(self, bpm):
        """Every second sample of clicks, twice over: a tape at double speed."""
        slow = clicks(bpm)
        fast = np.tile(slow[::2], 2)
        assert facts(slow).tempo.bpm == pytest.approx(bpm, rel=0.005)
        assert facts(fast).tempo.bpm == pytest.approx(2 * bpm, rel=0.01)

    def test_a_few_per_cent_faster_is_as_many_per_cent_more(self):
        slow, fast = (facts(drums(bpm)).tempo.bpm for bpm in (110, 110 * 1.03))
        assert fast / slow == pytest.approx(1.03, abs=0.002)

    @pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
    def test_it_is_the_same_at_any_rate(self, rate_hz):
        assert facts(drums(112, rate_hz=rate_hz), rate_hz).tempo.bpm == pytest.approx(112, rel=0.005)

    @pytest.mark.parametrize("seed", range(4))
    def test_steady_noise_has_none_that_is_sure(self, seed):
        found = facts(noise(30, seed=seed)).tempo
        assert found is None or found.confidence < 0.4

    def test_four_beats_are_too_few(self):
        assert facts(drums(120, 2.0)).tempo is None


class TestKey:
    @pytest.mark.parametrize("tonic", range(12))
    @pytest.mark.parametrize("minor", [False, True], ids=["major", "minor"])
    def test_that_of_a_cadence_is_found(self, tonic, minor):
        """So a semitone higher is the next tonic."""
        found = facts(chords(tonic, minor=minor)).key
        assert (found.tonic, found.mode) == (TONICS[tonic], "minor" if minor else "major")
        assert found.confidence > 0.8

    @pytest.mark.parametrize("cents", [-40, -25, 25, 40])
    def test_instruments_that_are_tuned_together_may_be_tuned_anyhow(self, cents):
        found = facts(chords(2, cents=cents)).key
        assert (found.tonic, found.mode) == ("D", "major")

    def test_drums_do_not_hide_it(self):
        found = facts(chords(9, minor=True) + drums(120, 16.0)).key
        assert (found.tonic, found.mode) == ("A", "minor")

    @pytest.mark.parametrize("sound", [noise(30), noise(30, seed=2), noise(30, seed=3)])
    def test_noise_has_none_that_is_sure(self, sound):
        found = facts(sound).key
        assert found is None or found.confidence < 0.4

    def test_all_twelve_notes_alike_are_of_no_key(self):
        time = np.arange(16 * RATE) / RATE
        found = facts(sum(np.sin(2 * np.pi * 220 * 2 ** (note / 12) * time + note) for note in range(24)) / 24).key
        assert found is None or found.confidence < 0.4

    def test_tonics_are_spelt_as_the_answers_promise(self):
        from earmark.serving.answers import KeyAnswer

        promised = KeyAnswer.model_fields["tonic"].description.replace(" or ", ", ").rstrip(".").split(", ")
        assert list(TONICS) == promised


class TestAgainstLibrosa:
    """Where it reckons the same, the same comes out; where it goes another way, music that leaves no doubt agrees."""

    @pytest.mark.parametrize(
        "sound", [drums(117, 8.0), chords(8, seconds=8.0), noise(8)], ids=["drums", "chords", "noise"]
    )
    def test_onsets(self, sound):
        from librosa import stft
        from librosa.feature import melspectrogram
        from librosa.onset import onset_strength as theirs_of

        sound = np.asarray(sound, dtype=np.float32)
        power = np.abs(stft(sound, n_fft=512, hop_length=256, center=False)) ** 2
        mel = melspectrogram(S=power, sr=RATE, n_fft=512, n_mels=MELS, fmin=30, fmax=8000, htk=True, norm=None)
        level = np.log10(1 + COMPRESSION * mel / mel.mean())
        theirs = theirs_of(S=level, sr=RATE, hop_length=256, lag=1, center=False)[1:]
        ours, per_s = onset_strength(torch.from_numpy(sound)[None], RATE)
        assert per_s == 62.5
        np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-3)

    @pytest.mark.parametrize("bpm", [66, 96, 110, 124, 141])
    def test_tempo(self, bpm):
        from librosa.feature import tempo

        sound = drums(bpm)
        assert distance(facts(sound).tempo.bpm, float(tempo(y=sound, sr=RATE, hop_length=256)[0])) < 0.04

    @pytest.mark.parametrize("seed", range(4))
    def test_tempo_of_a_made_piece(self, seed):
        from librosa.feature import tempo

        sound = piece(seed, beat_s=0.5)[0]
        assert distance(facts(sound, PIECE_HZ).tempo.bpm, float(tempo(y=sound, sr=PIECE_HZ)[0])) < 0.04

    @pytest.mark.parametrize("cents", [-30, -10, 0, 20, 40])
    def test_tuning(self, cents):
        from librosa import estimate_tuning

        sound = chords(4, cents=cents)
        theirs = estimate_tuning(y=sound, sr=RATE, n_fft=4096)
        assert tuning_of(torch.from_numpy(sound)[None].float(), RATE) == pytest.approx(theirs, abs=0.06)

    @pytest.mark.parametrize("tonic", range(0, 12, 3))
    def test_key_by_the_chroma_of_a_constant_q_transform(self, tonic):
        from librosa.feature import chroma_cqt

        sound = chords(tonic)
        chroma = chroma_cqt(y=sound, sr=RATE).mean(axis=1)
        krumhansl = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
        likeness = [np.corrcoef(chroma, np.roll(krumhansl, up))[0, 1] for up in range(12)]
        assert facts(sound).key.tonic == TONICS[int(np.argmax(likeness))]


class TestLoudness:
    def test_what_was_measured_of_the_file_is_told_and_is_surer(self):
        sound = chords(0)
        given, reckoned = facts(sound, lufs=-14.5).loudness, facts(sound).loudness
        assert given.lufs == -14.5 and given.confidence > 0.95 > reckoned.confidence

    @pytest.mark.parametrize("seconds", [16.0, 180.0])
    def test_of_a_mono_file_it_is_what_the_meter_reads(self, seconds):
        sound = np.tile(chords(4), math.ceil(seconds / 16))[: round(seconds * RATE)]
        read = measure(encode_samples(sound[None], "wav", RATE)).measures.loudness_lufs
        assert facts(sound).loudness.lufs == pytest.approx(read, abs=0.1)

    @pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
    def test_a_measure_that_is_no_number_is_none(self, lost):
        sound = chords(0)
        assert facts(sound, lufs=lost).loudness == facts(sound).loudness

    def test_silence_has_none(self):
        assert facts(np.zeros(5 * RATE)).loudness is None


class TestGain:
    @pytest.mark.parametrize("gain_db", [-30.0, -6.0, 12.0])
    def test_it_changes_loudness_alone_and_that_by_as_many_decibels(self, gain_db):
        sound = chords(7) + drums(104, 16.0)
        plain, louder = facts(sound), facts(sound * 10 ** (gain_db / 20))
        assert louder.loudness.lufs - plain.loudness.lufs == pytest.approx(gain_db, abs=0.01)
        assert louder.tempo.bpm == pytest.approx(plain.tempo.bpm, rel=1e-4)
        assert louder.tempo.confidence == pytest.approx(plain.tempo.confidence, abs=1e-3)
        assert (louder.key.tonic, louder.key.mode) == (plain.key.tonic, plain.key.mode)
        assert louder.key.confidence == pytest.approx(plain.key.confidence, abs=1e-3)


class TestLongRecordings:
    def test_twenty_minutes_are_as_one(self):
        minute = np.tile(chords(5) + drums(96, 16.0), 4)[: 60 * RATE]
        long = facts(np.tile(minute, 20))
        assert distance(long.tempo.bpm, 96) < 0.01 and (long.key.tonic, long.key.mode) == ("F", "major")

    def test_what_is_heard_of_them_is_spread_evenly_and_no_longer_than_a_minute(self):
        parts = stretches(torch.arange(600 * 100, dtype=torch.float32), 100, count=4)
        assert parts.shape == (4, 1500)
        middles = (parts[:, 0] + parts[:, -1]) / 2 / 100
        assert middles.tolist() == pytest.approx([75, 225, 375, 525], abs=0.01)

    def test_a_minute_is_heard_whole(self):
        minute = torch.arange(6000, dtype=torch.float32)
        assert stretches(minute, 100, count=4).equal(minute[None])


class TestAnything:
    @pytest.mark.parametrize("samples", [0, 1, 100, 1_600, 16_000])
    def test_silence_has_no_facts(self, samples):
        assert facts(np.zeros(samples)) == Facts(None, None, None)

    @settings(max_examples=60, deadline=None)
    @given(
        shape=arrays.arrays(
            np.float32, st.integers(0, 64), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
        ),
        times=st.integers(1, 4_000),
        rate_hz=st.sampled_from([8_000, 11_025, 16_000, 48_000]),
        lufs=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    )
    def test_whatever_is_told_is_finite_and_probable(self, shape, times, rate_hz, lufs):
        found = facts_of(torch.from_numpy(np.tile(shape, times)), rate_hz, loudness_lufs=lufs)
        if found.tempo:
            assert 30 <= found.tempo.bpm <= 301 and LEAST <= found.tempo.confidence <= 1
        if found.key:
            assert found.key.tonic in TONICS and LEAST <= found.key.confidence <= 1
        if found.loudness:
            assert math.isfinite(found.loudness.lufs) and 0 < found.loudness.confidence < 1

    @pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.int16])
    def test_samples_of_another_kind_are_taken_as_numbers(self, kind):
        sound = torch.from_numpy(chords(3)) * (8_000 if kind == torch.int16 else 1)
        assert facts_of(sound.to(kind), RATE, loudness_lufs=-20.0).key.tonic == "E♭"

    def test_the_waveform_is_left_as_it_was(self):
        sound = torch.from_numpy(np.append(chords(0), np.nan).astype(np.float32))
        before = sound.clone()
        facts_of(sound, RATE, loudness_lufs=None)
        assert sound.equal(before) or torch.equal(sound.nan_to_num(9), before.nan_to_num(9))

    @pytest.mark.parametrize(("waveform", "rate_hz"), [(torch.zeros(2, 16_000), 16_000), (torch.zeros(4_000), 4_000)])
    def test_what_is_not_mono_or_too_coarse_is_refused_with_the_remedy(self, waveform, rate_hz):
        with pytest.raises(AudioError, match=r"mono waveform.*8,000 Hz.*Take the mean of the channels"):
            facts_of(waveform, rate_hz, loudness_lufs=None)
