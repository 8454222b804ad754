"""Everything measured about a recording in one pass, against signals whose measures are known."""

import hashlib
import io
import math
import struct
import tracemalloc

import av
import numpy as np
import pytest
import torch
import torchaudio
from scipy.signal import butter, firwin, lfilter, sosfilt

from earmark.audio.decode import EmptyAudio, TruncatedAudio, decode
from earmark.audio.loudness import k_filters
from earmark.audio.metering import measure
from earmark.errors import AudioError
from made_audio import FORMATS, encode_samples
from probing import probe

SIDES_5_1, SIDES_5_0, SIDES_7_1 = 0x60F, 0x607, 0x63F  # channel masks of wav files


def wav(samples: np.ndarray, rate_hz: int = 48_000, *, kind: str = "<i2", mask: int = 0) -> bytes:
    """``samples`` in [-1, 1], shape (channels, time), as a wav file, written without FFmpeg; 24 bits are ``i3``."""
    channels = len(samples)
    if kind == "i3":
        whole = np.rint(samples.T * 2**23).clip(-(2**23), 2**23 - 1).astype("<i4")
        data = np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        bits = 24
    elif kind == "u1":
        data, bits = np.rint(samples.T * 128 + 128).clip(0, 255).astype(np.uint8).tobytes(), 8
    elif kind[1] == "i":
        bits = 8 * int(kind[2])
        top = 2.0 ** (bits - 1)
        data = np.rint(samples.T * top).clip(-top, top - 1).astype(kind).tobytes()
    else:
        bits = 8 * int(kind[2])
        data = samples.T.astype(kind).tobytes()
    tag = 3 if kind[1] == "f" else 1
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE, channels, rate_hz, rate_hz * frame, frame, bits)
    layout += struct.pack("<HHIH", 22, bits, mask, tag) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def coded(
    samples: np.ndarray, muxer: str, encoder: str, form: str, *, rate_hz: int = 44_100, bit_rate: int = 0
) -> bytes:
    """Stereo samples, of the numbers' kind that ``form`` names (s16, s32, fltp …), through one of FFmpeg's encoders."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=rate_hz, layout="stereo")
        stream.codec_context.format = form
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.codec_context.open()
        length = stream.codec_context.frame_size or 4_096
        planar = form.endswith("p")
        for start in range(0, samples.shape[1], length):
            part = samples[:, start : start + length]
            part = np.ascontiguousarray(part) if planar else np.ascontiguousarray(part.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format=form, layout="stereo")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def sine(dbfs: float, seconds: float, rate_hz: int = 48_000, hz: float = 1_000.0) -> np.ndarray:
    return 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def noise(seconds: float, rate_hz: int = 44_100, *, rms: float = 0.05, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, rms, (channels, round(seconds * rate_hz)))


def music(seconds: float, rate_hz: int = 44_100) -> np.ndarray:
    """Something like music, full-band: notes over noise that falls with frequency and comes and goes, in stereo."""
    random = np.random.default_rng(11)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    notes = sum(np.sin(2 * np.pi * hz * time_s) * np.exp(-3 * (time_s % beat)) for hz, beat in ((110, 0.5), (660, 0.4)))
    hiss = lfilter([1.0], [1.0, -0.9], random.normal(0, 0.02, (2, len(time_s)))) * (0.1 + np.exp(-9 * (time_s % 0.5)))
    return 0.2 * notes + hiss + 0.001 * random.normal(0, 1, (2, len(time_s)))


def loudness(data: bytes) -> float | None:
    return measure(data).measures.loudness_lufs


class TestOneProbe:
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_says_of_every_format_what_decoding_says(self, recordings, suffix):
        found = measure(recordings[suffix])
        waveform = decode(recordings[suffix]).waveform
        assert found.info == probe(recordings[suffix])
        assert found.measures.peak_dbfs == pytest.approx(20 * math.log10(waveform.abs().max().item()), abs=1e-4)
        assert found.measures.loudness_lufs == pytest.approx(
            torchaudio.functional.loudness(waveform, found.info.sample_rate_hz).item(), abs=0.1
        )
        assert found.measures.clipped_share == found.measures.silent_share == 0.0

    def test_reads_a_path_as_it_reads_bytes(self, recordings, write):
        assert measure(write("song.txt", recordings["flac"])) == measure(recordings["flac"])

    def test_a_file_that_was_cut_off_is_refused(self, recordings):
        for suffix in ("mp3", "flac", "wav", "m4a"):
            with pytest.raises(TruncatedAudio):
                measure(recordings[suffix][: len(recordings[suffix]) * 2 // 3])

    def test_memory_does_not_grow_with_the_length(self, tmp_path):
        def peak_bytes(seconds: int) -> int:
            path = tmp_path / f"{seconds}.wav"
            path.write_bytes(wav(np.zeros((2, seconds * 44_100)), 44_100))
            tracemalloc.start()
            measure(path)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return peak

        peak_bytes(1)
        assert peak_bytes(90) < 1.2 * peak_bytes(9)


class TestLoudness:
    """Signals of EBU Tech 3341, table 1; the tolerance there is ± 0.1 LU."""

    @pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000, 192_000])
    @pytest.mark.parametrize("level", [-23.0, -33.0])
    def test_a_stereo_tone_of_1_khz_is_as_loud_as_its_level(self, level, rate_hz):
        assert loudness(wav(np.tile(sine(level, 5, rate_hz), (2, 1)), rate_hz)) == pytest.approx(level, abs=0.1)

    @pytest.mark.parametrize(
        "steps",
        [
            [(-36, 10), (-23, 60), (-36, 10)],
            [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
            [(-26, 20), (-20, 20.1), (-26, 20)],
        ],
        ids=["case 3", "case 4", "case 5"],
    )
    def test_quiet_parts_are_gated(self, steps):
        tone = np.concatenate([sine(level, seconds, 16_000) for level, seconds in steps])
        assert loudness(wav(np.tile(tone, (2, 1)), 16_000)) == pytest.approx(-23.0, abs=0.1)

    @pytest.mark.parametrize("mask", [SIDES_5_0, 0x37])
    def test_surround_channels_count_more(self, mask):
        tones = np.stack([sine(level, 20, 16_000) for level in (-28, -28, -24, -30, -30)])
        assert loudness(wav(tones, 16_000, mask=mask)) == pytest.approx(-23.0, abs=0.1)

    def test_low_frequency_effects_do_not_count(self):
        tones = np.stack([sine(level, 20, 16_000) for level in (-28, -28, -24, 0, -30, -30)])
        assert loudness(wav(tones, 16_000, mask=SIDES_5_1)) == pytest.approx(-23.0, abs=0.1)

    def test_with_sides_and_backs_only_the_sides_count_more(self):
        def only(number: int) -> float:
            tones = np.zeros((8, 32_000))
            tones[number] = sine(-20, 2, 16_000)
            return loudness(wav(tones, 16_000, mask=SIDES_7_1)) or 0.0

        front, back, side = only(0), only(4), only(6)
        assert back == pytest.approx(front, abs=1e-4)
        assert side == pytest.approx(front + 10 * math.log10(1.41), abs=1e-4)

    def test_one_of_two_equal_channels_is_3_db_quieter(self):
        assert loudness(wav(noise(3, channels=1))) == pytest.approx(
            loudness(wav(np.tile(noise(3, channels=1), (2, 1)))) - 10 * math.log10(2), abs=1e-3
        )

    def test_agrees_with_the_filters_printed_in_the_standard(self):
        printed = [
            [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585],
            [1, -2, 1, 1, -1.99004745483398, 0.99007225036621],
        ]
        assert k_filters(48_000) == pytest.approx(np.array(printed), abs=1e-12)
        sound = music(31.7, 48_000) * np.linspace(0.001, 1.5, round(31.7 * 48_000))
        weighted = sosfilt(printed, sound)
        blocks = [np.square(weighted[:, at : at + 19_200]).mean(axis=1).sum() for at in range(0, 1_502_401, 4_800)]
        loud = [energy for energy in blocks if -0.691 + 10 * math.log10(energy) > -70]
        louder = [energy for energy in loud if energy > np.mean(loud) / 10]
        expected = -0.691 + 10 * math.log10(np.mean(louder))
        assert loudness(wav(sound, kind="<f4")) == pytest.approx(expected, abs=0.002)

    @pytest.mark.parametrize("rate_hz", [22_050, 44_100, 96_000])
    def test_agrees_with_torchaudio(self, rate_hz):
        sound = music(12, rate_hz)
        expected = torchaudio.functional.loudness(torch.from_numpy(sound).float(), rate_hz).item()
        assert loudness(wav(sound, rate_hz, kind="<f4")) == pytest.approx(expected, abs=0.1)

    @pytest.mark.parametrize("rate_hz", [4_000, 44_101, 384_000, 768_000])
    def test_odd_rates_have_a_loudness_near_the_level(self, rate_hz):
        tone = np.tile(sine(-23, 1.5, rate_hz, hz=200), (2, 1))
        assert loudness(wav(tone, rate_hz, kind="<f4")) == pytest.approx(
            -23.9, abs=0.5
        )  # the standard's filter at 48 kHz: -0.9 dB

    def test_silence_has_none(self):
        assert loudness(wav(np.zeros((2, 96_000)))) is None
        assert loudness(wav(np.tile(sine(-75, 3), (2, 1)), kind="<f4")) is None

    def test_less_than_one_block_has_none(self):
        assert loudness(wav(noise(0.39, 48_000))) is None
        assert loudness(wav(noise(0.41, 48_000))) is not None


class TestPeak:
    def test_is_the_highest_sample_of_any_channel_and_sign(self):
        sound = np.zeros((2, 5_000))
        sound[1, 4_321] = -0.5
        sound[0, 17] = 0.25
        assert measure(wav(sound)).measures.peak_dbfs == pytest.approx(20 * math.log10(0.5), abs=1e-6)

    def test_of_silence_is_finite(self):
        assert measure(wav(np.zeros((1, 5_000)))).measures.peak_dbfs == pytest.approx(-120.0)

    def test_beyond_full_scale_is_above_0_db(self):
        assert measure(wav(np.tile(sine(6, 1), (2, 1)), kind="<f4")).measures.peak_dbfs == pytest.approx(6.0, abs=0.01)


def clipped(data: bytes) -> float:
    return measure(data).measures.clipped_share


class TestClipping:
    @pytest.mark.parametrize("rate_hz", [8_000, 44_100, 192_000])
    @pytest.mark.parametrize("hz", [20, 50, 441, 997])
    @pytest.mark.parametrize("kind", ["<i2", "i3", "<f4"])
    def test_a_full_scale_tone_is_not_clipped(self, hz, rate_hz, kind):
        assert clipped(wav(sine(0, 2, rate_hz, hz)[None], rate_hz, kind=kind)) == 0.0

    @pytest.mark.parametrize("hz", [20, 441, 997])
    @pytest.mark.parametrize("kind", ["u1", "<i2", "i3", "<f4"])
    def test_a_tone_driven_6_db_over_is_clipped_for_two_thirds_of_the_time(self, hz, kind):
        share = clipped(wav(np.clip(sine(20 * math.log10(2), 3, 44_100, hz), -1, 1)[None], 44_100, kind=kind))
        assert share == pytest.approx(2 / 3, abs=0.03)  # |sin| is above a half there

    def test_only_the_clipped_channel_and_time_count(self):
        sound = 0.4 * np.stack([sine(0, 8, hz=997), sine(0, 8, hz=997)])
        sound[0, :48_000] = np.clip(5 * sound[0, :48_000], -1, 1)
        assert clipped(wav(sound)) == pytest.approx(2 / 3 / 16, rel=0.05)

    def test_a_tone_clipped_below_the_ceiling_of_the_whole_is_not_at_full_scale(self):
        low = np.clip(2 * sine(0, 2), -0.9, 0.9)
        assert clipped(wav(low[None])) == 0.0
        assert clipped(wav(np.concatenate([np.clip(2 * sine(0, 2), -0.992, 0.992), sine(0, 2)])[None])) == 0.0

    def test_a_recording_clipped_a_little_below_full_scale_is_clipped(self):
        assert clipped(wav(np.clip(2 * sine(0, 2), -0.992, 0.992)[None])) > 0.6

    def test_loud_noise_that_was_only_scaled_to_full_scale_is_not_clipped(self):
        loud = music(5)
        assert clipped(wav(loud / np.abs(loud).max(), 44_100)) < 1e-5

    def test_music_that_was_clipped_is_found_in_an_mp3_too(self):
        loud = music(6) / np.abs(music(6)).max()
        soft, hard = (
            clipped(coded(x.astype(np.float32), "mp3", "libmp3lame", "fltp", bit_rate=192_000))
            for x in (0.9 * loud, np.clip(8 * loud, -1, 1))
        )
        assert soft == 0.0
        assert hard > 0.02  # the encoder has turned flat tops into ripples about full scale

    def test_a_constant_at_full_scale_is_all_flat(self):
        assert clipped(wav(np.ones((1, 100_000)))) == 1.0


class TestSilence:
    def test_is_the_share_of_the_time(self):
        sound = np.concatenate([np.zeros((2, 48_000)), noise(3, 48_000)], axis=1)
        assert measure(wav(sound)).measures.silent_share == pytest.approx(0.25, abs=0.03)

    @pytest.mark.parametrize(("dbfs", "share"), [(-59.5, 0.0), (-60.5, 1.0)])
    def test_begins_at_60_db_below_full_scale(self, dbfs, share):
        rms = 10 ** (dbfs / 20)
        data = wav(np.tile(math.sqrt(2) * rms * sine(0, 1.234), (2, 1)), kind="<f4")
        assert measure(data).measures.silent_share == pytest.approx(share, abs=0.01)

    def test_one_channel_that_plays_is_enough(self):
        sound = np.stack([np.zeros(48_000), sine(-20, 1)])
        assert measure(wav(sound)).measures.silent_share == 0.0


def bandwidth(data: bytes) -> float:
    return measure(data).measures.bandwidth_hz


def dithered(sound: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(5)
    return sound + (random.random(sound.shape) - random.random(sound.shape)) / 2**15


def as_flac(sound: np.ndarray, rate_hz: int = 44_100) -> bytes:
    whole = np.rint(sound * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
    return coded(whole, "flac", "flac", "s16", rate_hz=rate_hz)


class TestBandwidth:
    @pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
    def test_a_full_band_recording_reaches_half_its_rate(self, rate_hz):
        assert bandwidth(wav(music(4, rate_hz), rate_hz)) > 0.99 * rate_hz / 2

    @pytest.mark.parametrize(("bit_rate", "edge_hz"), [(64_000, 11_000), (96_000, 15_200), (128_000, 16_800)])
    @pytest.mark.parametrize("gain", [0.3, 1.0])
    def test_an_mp3_sold_as_flac_is_betrayed(self, bit_rate, edge_hz, gain):
        sound = (gain * music(6) / np.abs(music(6)).max()).astype(np.float32)
        mp3 = coded(sound, "mp3", "libmp3lame", "fltp", bit_rate=bit_rate)
        transcoded = as_flac(decode(mp3).waveform.numpy())
        assert bandwidth(mp3) == pytest.approx(edge_hz, abs=900)
        assert bandwidth(transcoded) == pytest.approx(bandwidth(mp3), abs=600)

    def test_an_mp3_so_loud_that_decoding_cuts_it_is_betrayed_too(self):
        loud = np.clip(3 * music(12) / np.abs(music(12)).max(), -1, 1).astype(np.float32)
        cut = decode(coded(loud, "mp3", "libmp3lame", "fltp", bit_rate=128_000)).waveform.numpy()
        assert (np.abs(cut) == 1.0).sum() > 100
        assert bandwidth(as_flac(cut)) == pytest.approx(16_800, abs=900)

    @pytest.mark.parametrize("edge_hz", [3_000, 7_000, 12_000])
    def test_a_dull_recording_has_the_bandwidth_it_has(self, edge_hz):
        dull = lfilter(firwin(1_001, edge_hz, fs=44_100), 1, music(6))
        assert bandwidth(wav(dithered(dull), 44_100)) == pytest.approx(edge_hz, abs=250)
        assert bandwidth(wav(dithered(0.03 * dull), 44_100)) == pytest.approx(edge_hz, abs=400)

    def test_a_recording_that_falls_slowly_ends_where_it_sinks_into_the_noise(self):
        slow = sosfilt(butter(10, 5_000, fs=44_100, output="sos"), noise(6))
        assert 7_000 < bandwidth(wav(dithered(slow), 44_100)) < 12_000

    def test_a_whistle_above_the_music_is_no_treble(self):
        dull = lfilter(firwin(1_001, 8_000, fs=44_100), 1, music(6)) + sine(-60, 6, 44_100, 15_625)
        assert bandwidth(wav(dithered(dull), 44_100)) == pytest.approx(8_000, abs=250)

    def test_treble_that_sounds_now_and_then_counts(self):
        dull = lfilter(firwin(1_001, 6_000, fs=44_100), 1, music(20))
        dull[:, 100_000:130_000] += noise(30_000 / 44_100, rms=0.01)
        assert bandwidth(wav(dithered(dull), 44_100)) > 21_500

    def test_silence_has_none_nor_has_dither(self):
        assert bandwidth(wav(np.zeros((2, 44_100)), 44_100)) == 0.0
        assert bandwidth(wav(dithered(np.zeros((2, 88_200))), 44_100)) == 0.0


def audio_hash(data: bytes) -> str:
    return measure(data).measures.audio_hash


class TestAudioHash:
    def test_is_that_of_the_samples_as_16_bits_after_rate_and_channels(self):
        samples = (3_000 * noise(1.7)).astype("<i2")
        expected = hashlib.sha256(b"44100 Hz, 2 channels;" + np.ascontiguousarray(samples.T).tobytes()).hexdigest()
        assert audio_hash(wav(samples / 2**15, 44_100)) == expected

    def test_equal_sound_of_16_bits_has_one_hash_in_every_lossless_file(self):
        whole = np.random.default_rng(3).integers(-(2**15), 2**15, (2, 150_001)).astype(np.int16)
        files = [
            wav(whole / 2**15, 44_100),
            wav(whole / 2**15, 44_100, kind="i3"),
            wav(whole / 2**15, 44_100, kind="<i4"),
            wav(whole / 2**15, 44_100, kind="<f4"),
            coded(whole, "flac", "flac", "s16"),
            coded(whole, "aiff", "pcm_s16be", "s16"),
            coded(whole, "caf", "pcm_s16le", "s16"),
            coded(whole, "wv", "wavpack", "s16p"),
            coded(whole, "ipod", "alac", "s16p"),
            coded(whole, "matroska", "flac", "s16"),
        ]
        assert len({audio_hash(data) for data in files}) == 1

    def test_equal_sound_of_24_bits_has_one_hash_too_and_another_than_its_16_bits(self):
        whole = np.random.default_rng(4).integers(-(2**23), 2**23, (2, 150_001)).astype(np.int32)
        files = [
            wav(whole / 2**23, 44_100, kind="i3"),
            wav(whole / 2**23, 44_100, kind="<i4"),
            coded(whole << 8, "flac", "flac", "s32"),
            coded(whole << 8, "aiff", "pcm_s24be", "s32"),
            coded(whole << 8, "wv", "wavpack", "s32p"),
            coded(whole << 8, "ipod", "alac", "s32p"),
        ]
        assert len({audio_hash(data) for data in files}) == 1
        assert audio_hash(wav((whole >> 8) / 2**15, 44_100)) != audio_hash(files[0])

    def test_8_bits_have_the_hash_of_the_same_sound_in_16(self):
        eight = np.random.default_rng(5).integers(-128, 128, (1, 40_000)) / 128
        assert audio_hash(wav(eight, kind="u1")) == audio_hash(wav(eight))

    def test_an_mp3_has_the_hash_of_its_own_decoding(self, recordings):
        mp3 = recordings["mp3"]
        assert audio_hash(mp3) == audio_hash(wav(decode(mp3).waveform.numpy()))

    def test_the_last_bit_of_one_sample_the_rate_and_the_channels_make_another(self):
        whole = (1_000 * noise(2)).astype(int)
        other = whole.copy()
        other[1, 70_000] ^= 1
        hashes = [audio_hash(wav(x / 2**15, 44_100)) for x in (whole, other)]
        hashes.append(audio_hash(wav(whole / 2**15, 48_000)))
        hashes.append(audio_hash(wav(whole.T.reshape(1, -1) / 2**15, 44_100)))
        assert len(set(hashes)) == 4

    def test_how_the_file_is_cut_into_frames_makes_no_difference(self, monkeypatch):
        data = wav(noise(5.3), 44_100, kind="i3")
        whole = measure(data).measures
        monkeypatch.setattr("earmark.audio.metering._PIECE_HOPS", 3)
        pieces = measure(data).measures
        assert pieces.audio_hash == whole.audio_hash
        assert pieces.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-4)

    def test_tags_make_no_difference(self):
        sound = music(2)
        assert audio_hash(encode_samples(sound, "mp3", 44_100)) == audio_hash(
            encode_samples(sound, "mp3", 44_100, tags={"title": "Another"})
        )


class TestListener:
    @pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 96_000])
    def test_hears_all_of_the_sound_as_decode_gives_it(self, rate_hz):
        data = wav(music(5, rate_hz), rate_hz)
        heard: list[np.ndarray] = []
        rates = set()

        def listener(piece: np.ndarray, rate: int) -> None:
            heard.append(piece)
            rates.add(rate)

        measure(data, listener=listener)
        expected = decode(data, sample_rate_hz=8_000, mono=True).waveform[0].numpy()
        assert rates == {8_000}
        assert all(piece.dtype == np.float32 and piece.ndim == 1 for piece in heard)
        assert np.concatenate(heard) == pytest.approx(expected, abs=1e-6)

    def test_changes_no_measure(self, recordings):
        assert measure(recordings["ogg"], listener=lambda piece, rate_hz: None) == measure(recordings["ogg"])


def is_sane(found) -> bool:
    measures = found.measures
    return (
        (measures.loudness_lufs is None or math.isfinite(measures.loudness_lufs))
        and -120 <= measures.peak_dbfs <= 121
        and 0 <= measures.clipped_share <= 1
        and 0 <= measures.silent_share <= 1
        and 0 <= measures.bandwidth_hz <= found.info.sample_rate_hz / 2
        and len(measures.audio_hash) == 64
    )


class TestHostileFiles:
    def test_another_rate_and_number_of_channels_midway(self, encode):
        bare = {"write_xing": "0", "id3v2_version": "0"}
        stereo = encode("mp3", 2.0, rate_hz=48_000, muxer_options=bare)
        mono = encode("mp3", 2.0, rate_hz=32_000, channels=1, muxer_options=bare)
        heard: list[np.ndarray] = []
        found = measure(stereo + mono, listener=lambda piece, rate_hz: heard.append(piece))
        assert is_sane(found)
        assert found.info.duration_s == pytest.approx(4.0, abs=0.2)
        assert sum(map(len, heard)) == pytest.approx(8_000 * found.info.duration_s, abs=20)
        assert found.measures.loudness_lufs == pytest.approx(measure(stereo).measures.loudness_lufs, abs=3.1)

    @pytest.mark.parametrize("suffix", ["ogg", "opus"])
    def test_a_chain_of_recordings_is_measured_to_its_end_or_refused(self, encode, suffix):
        first, second, other = (encode(suffix, 2.0, rate_hz=hz) for hz in (48_000, 48_000, 24_000))
        found = measure(first + second)
        assert is_sane(found)
        assert found.info.duration_s == pytest.approx(4.0, abs=0.1)
        try:
            assert is_sane(measure(first + other))
        except AudioError as error:
            assert "2.0 s" in str(error)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e30])
    @pytest.mark.parametrize("kind", ["<f4", "<f8"])
    def test_what_is_no_number_or_no_sound(self, bad, kind):
        sound = noise(3, 48_000)
        sound[:, 50_000:50_100] = bad
        assert is_sane(measure(wav(sound, kind=kind)))
        assert is_sane(measure(wav(np.full((2, 60_000), bad), kind=kind)))

    @pytest.mark.parametrize("samples", [1, 2, 3, 799, 4_799, 4_800, 4_801, 96_001])
    def test_any_number_of_samples(self, samples):
        assert is_sane(measure(wav(noise(1, samples, channels=2))))

    def test_a_very_short_sound_has_a_bandwidth(self):
        assert bandwidth(wav(noise(0.05, 48_000))) > 23_000

    def test_a_great_many_channels(self):
        sound = noise(0.7, 48_000, channels=64)
        found = measure(wav(sound))
        assert found.info.channels == 64
        assert is_sane(found)
        assert found.measures.loudness_lufs == pytest.approx(loudness(wav(sound[:1])) + 10 * math.log10(64), abs=0.3)

    def test_eight_bits_in_one_channel(self):
        assert is_sane(measure(wav(np.clip(noise(1, 11_025, rms=0.3, channels=1), -1, 1), 11_025, kind="u1")))

    @pytest.mark.parametrize("kind", ["<i4", "<i8"])
    def test_whole_numbers_of_32_and_64_bits(self, kind):
        found = measure(wav(noise(1, 48_000), kind=kind))
        assert found.measures.loudness_lufs == pytest.approx(loudness(wav(noise(1, 48_000))), abs=0.01)

    def test_no_sound_at_all_is_an_error(self):
        with pytest.raises(EmptyAudio):
            measure(wav(np.zeros((2, 0))))

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_damaged_bytes_end_in_an_audio_error_or_in_sane_measures(self, recordings, suffix):
        random = np.random.default_rng(9)
        for _ in range(8):
            damaged = np.frombuffer(recordings[suffix], np.uint8).copy()
            places = random.integers(0, min(len(damaged), random.choice([200, 2_000, len(damaged)])), 30)
            damaged[places] = random.integers(0, 256, 30)
            try:
                found = measure(damaged.tobytes())
            except AudioError:
                continue
            assert is_sane(found)
