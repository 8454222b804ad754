"""The one door for audio: every format in, what is not audio out with its reason."""

import io
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from earmark.audio.decode import EmptyAudio, NotAudio, UndecodableAudio, UnreadableFile, decode
from earmark.errors import AudioError
from made_audio import FORMATS, encode_samples
from probing import probe

LOSSLESS = ("flac", "wav", "aiff", "au", "caf", "mka")
CODECS = {"m4a": "aac", "ogg": "vorbis", "wv": "wavpack", "wma": "wmav2", "webm": "opus", "mka": "flac"}


def tone(seconds: float, rate_hz: int, hz: float = 440.0, channels: int = 1) -> np.ndarray:
    return np.tile(0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz), (channels, 1))


def loudest_hz(waveform: torch.Tensor, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(waveform[0].numpy() * np.hanning(waveform.shape[1])))
    return float(np.argmax(spectrum) * rate_hz / waveform.shape[1])


class TestEveryFormat:
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_is_probed_for_what_it_is(self, recordings, suffix):
        info = probe(recordings[suffix])
        assert info.duration_s == pytest.approx(4.0, abs=0.06)  # a codec's frame or two of padding, no more
        assert (info.sample_rate_hz, info.channels) == (48_000, 2)
        assert info.codec == CODECS.get(suffix, info.codec)

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_is_decoded_to_the_tone_that_went_in(self, recordings, suffix):
        recording = decode(recordings[suffix])
        assert recording.waveform.dtype == torch.float32
        assert recording.waveform.shape[0] == 2
        assert loudest_hz(recording.waveform, recording.sample_rate_hz) == pytest.approx(440.0, abs=0.5)
        assert recording.waveform.pow(2).mean().sqrt().item() == pytest.approx(0.5 / 2**0.5, rel=0.05)

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_reads_the_same_under_a_wrong_name_as_from_bytes(self, recordings, suffix, write):
        path = write("song.txt", recordings[suffix])
        assert torch.equal(decode(path).waveform, decode(recordings[suffix]).waveform)

    @pytest.mark.parametrize("suffix", LOSSLESS)
    def test_lossless_comes_back_sample_by_sample(self, suffix):
        samples = np.random.default_rng(1).uniform(-0.9, 0.9, (2, 30_001))
        decoded = decode(encode_samples(samples, suffix, 44_100)).waveform.numpy()
        assert decoded.shape == samples.shape
        assert np.abs(decoded - samples).max() < 2 / 2**15

    @pytest.mark.parametrize("encoder", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
    def test_wav_of_any_sample_format_has_one_scale(self, encoder):
        samples = tone(0.5, 16_000)
        decoded = decode(encode_samples(samples, "wav", 16_000, encoder=encoder)).waveform.numpy()
        assert np.abs(decoded - samples).max() < 0.02

    @pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus"])
    def test_the_silence_that_the_encoder_put_in_front_is_taken_off(self, suffix):
        click = np.zeros((1, 96_000))
        click[0, 48_000:48_040] = 0.9
        assert abs(int(decode(encode_samples(click, suffix, 48_000)).waveform[0].abs().argmax()) - 48_020) < 60


class TestManyChannels:
    """Where PyAV's own way to the samples of a frame reads beyond its end, which ended the process."""

    @pytest.mark.parametrize(
        ("codec", "container", "layout"),
        [
            ("aac", "mp4", "7.1"),
            ("libopus", "ogg", "7.1"),
            ("alac", "mp4", "7.1(wide)"),
            ("flac", "flac", "7.1"),
            ("wavpack", "wv", "hexadecagonal"),
            ("pcm_s32le", "wav", "hexadecagonal"),
        ],
    )
    def test_each_comes_out_with_its_own_level(self, bench, codec, container, layout):
        waveform = decode(bench.many_channels(codec, container, layout)).waveform[:, 4_800:43_200]
        channels = av.AudioLayout(layout).nb_channels
        levels = waveform.pow(2).mean(dim=1).sqrt().sort().values  # codecs have an order of their own
        expected = 0.5 / 2**0.5 * (1 + np.arange(channels)) / channels
        if "7.1" in layout and codec in ("aac", "libopus"):  # they think little of what the bass channel gets
            assert len(levels) == channels
            assert levels.mean().item() == pytest.approx(expected.mean(), rel=0.15)
        else:
            assert levels.numpy() == pytest.approx(expected, rel=0.03)

    def test_mixed_down_it_is_their_mean(self, bench):
        content = bench.many_channels("wavpack", "wv", "hexadecagonal")
        found, each = decode(content, mono=True).waveform, decode(content).waveform
        assert found.shape == (1, each.shape[1])
        assert torch.allclose(found[0], each.mean(dim=0), atol=1e-6)


class TestResampling:
    @pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "flac"])
    @pytest.mark.parametrize("rate_hz", [16_000, 22_050, 96_000])
    def test_keeps_pitch_and_length(self, recordings, suffix, rate_hz):
        recording = decode(recordings[suffix], sample_rate_hz=rate_hz, mono=True)
        assert recording.sample_rate_hz == rate_hz
        assert recording.waveform.shape[1] == pytest.approx(probe(recordings[suffix]).duration_s * rate_hz, abs=2)
        assert loudest_hz(recording.waveform, rate_hz) == pytest.approx(440.0, abs=0.5)

    def test_agrees_with_scipys_polyphase_filter(self):
        samples = tone(2.0, 48_000) + tone(2.0, 48_000, hz=3_000) / 4
        decoded = decode(encode_samples(samples, "wav", 48_000), sample_rate_hz=16_000).waveform[0].numpy()
        expected = resample_poly(samples[0], 1, 3)
        assert np.abs(decoded - expected)[200:-200].max() < 2e-3

    def test_what_lies_above_the_new_limit_is_gone(self):
        high = encode_samples(tone(1.0, 48_000, hz=11_000), "wav", 48_000)
        assert decode(high, sample_rate_hz=16_000).waveform.abs()[:, 200:-200].max() < 1e-3

    def test_repeats_to_the_bit(self, recordings):
        once, again = (decode(recordings["mp3"], sample_rate_hz=16_000, mono=True).waveform for _ in range(2))
        assert torch.equal(once, again)

    def test_odd_rates_cost_no_memory(self):
        odd = encode_samples(tone(1.0, 44_101), "wav", 44_101)
        assert decode(odd, sample_rate_hz=15_991).waveform.shape[1] == pytest.approx(15_991, abs=2)


class TestMonoAndLength:
    def test_mono_is_the_mean_of_the_channels(self):
        samples = np.stack([tone(0.5, 16_000)[0], np.zeros(8_000)])
        decoded = decode(encode_samples(samples, "flac", 16_000), mono=True).waveform.numpy()
        assert np.abs(decoded - samples.mean(axis=0)).max() < 2 / 2**15

    @pytest.mark.parametrize("rate_hz", [None, 16_000])
    def test_max_seconds_is_the_beginning_of_the_whole(self, recordings, rate_hz):
        whole = decode(recordings["mp3"], sample_rate_hz=rate_hz).waveform
        start = decode(recordings["mp3"], sample_rate_hz=rate_hz, max_seconds=1.5).waveform
        assert start.shape[1] == 1.5 * (rate_hz or 48_000)
        assert torch.equal(start, whole[:, : start.shape[1]])

    def test_more_seconds_than_there_are_gives_all(self, recordings):
        assert torch.equal(decode(recordings["wav"], max_seconds=99.0).waveform, decode(recordings["wav"]).waveform)

    def test_samples_beyond_full_scale_and_no_numbers_are_brought_into_range(self):
        samples = np.array([[0.5, 3.0, -3.0, np.nan, np.inf, -np.inf, 0.25, 0.0] * 1_000])
        data = bytearray(encode_samples(np.zeros_like(samples), "wav", 16_000, encoder="pcm_f32le"))
        data[-samples.size * 4 :] = samples.astype("<f4").tobytes()
        decoded = decode(bytes(data)).waveform[0, :8].tolist()
        assert decoded == [0.5, 1.0, -1.0, 0.0, 1.0, -1.0, 0.25, 0.0]

    def test_a_change_of_rate_and_channels_within_a_file_is_followed(self, encode):
        bare = {"write_xing": "0", "id3v2_version": "0"}
        stereo = encode("mp3", 2.0, rate_hz=48_000, muxer_options=bare)
        mono = encode("mp3", 2.0, rate_hz=32_000, channels=1, muxer_options=bare)
        recording = decode(stereo + mono, sample_rate_hz=16_000)
        assert recording.waveform.shape[1] == pytest.approx(4.1 * 16_000, rel=0.05)
        assert recording.waveform.shape[0] == 2
        assert loudest_hz(recording.waveform[:, -16_000:], 16_000) == pytest.approx(440, abs=2)


def cover_only() -> bytes:
    """An mp3's tag with a picture in it, and no music behind it."""
    picture = b"\x00image/png\x00\x03\x00" + b"\x89PNG\r\n\x1a\n" + bytes(5_000)
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + frame


def silent_film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


class TestWhatIsNotAudio:
    @pytest.mark.parametrize(
        ("content", "needle"),
        [
            (b"These are the lyrics.\n" * 400, "is text"),
            ("Käse und Brötchen\n".encode() * 50, "is text"),
            (b"\x89PNG\r\n\x1a\n" + bytes(4_000), "PNG"),
            (b"\xff\xd8\xff\xe0" + bytes(4_000), "JPEG"),
            (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
            (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "playlist"),
            (b"[playlist]\nFile1=/etc/passwd\n", "playlist"),
            (b"PK\x03\x04" + bytes(1_000), "ZIP"),
            (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + bytes(100), "MIDI"),
            (bytes(20_000), "00 00"),
            (np.random.default_rng(3).bytes(200_000), "no known format"),
            (cover_only(), "ID3|no sound|not audio|nothing"),
        ],
        ids=["text", "utf-8", "png", "jpeg", "html", "m3u", "pls", "zip", "midi", "zeros", "noise", "cover only"],
    )
    def test_is_refused_with_what_it_is(self, content, needle, write):
        path = write("song.mp3", content)
        with pytest.raises(AudioError, match=needle) as caught:
            probe(path)
        assert isinstance(caught.value, NotAudio | UndecodableAudio)
        assert "song.mp3" in str(caught.value)

    def test_no_bytes_are_empty_audio(self, write):
        with pytest.raises(EmptyAudio, match="0 bytes"):
            decode(write("a.mp3", b""))
        with pytest.raises(EmptyAudio, match="0 bytes"):
            decode(b"")

    def test_a_wav_without_samples_holds_no_sound(self):
        with pytest.raises(EmptyAudio, match="no sound"):
            decode(
                struct.pack(
                    "<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 0
                )
            )

    def test_a_film_without_sound_has_no_audio_stream(self):
        with pytest.raises(NotAudio, match="no audio stream, only video"):
            decode(silent_film())

    def test_a_ruined_flac_is_undecodable(self, recordings):
        ruined = bytearray(recordings["flac"])
        ruined[9_000:] = np.random.default_rng(5).bytes(len(ruined) - 9_000)
        with pytest.raises(AudioError, match=r"damaged|cut off|no sound"):
            probe(bytes(ruined))

    @pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus", "m4a"])
    def test_one_scratch_is_put_up_with(self, recordings, suffix):
        scratched = bytearray(recordings[suffix])
        middle = len(scratched) // 2
        scratched[middle : middle + 8] = b"\x55" * 8
        assert 2.9 < probe(bytes(scratched)).duration_s < 4.1  # ogg gives up a whole page, a second

    @pytest.mark.parametrize("rate_hz", [1, 3_000_000_000])
    def test_a_header_with_an_impossible_rate_is_refused(self, rate_hz):
        sound = bytearray(encode_samples(tone(0.5, 16_000), "wav", 16_000))
        sound[24:28] = struct.pack("<I", rate_hz)
        with pytest.raises(AudioError):
            decode(bytes(sound), sample_rate_hz=16_000)


class TestPaths:
    def test_a_folder_named_like_a_song_is_no_file(self, tmp_path):
        (tmp_path / "x.wav").mkdir()
        with pytest.raises(UnreadableFile, match="no file"):
            probe(tmp_path / "x.wav")

    def test_a_missing_path_says_so(self, tmp_path):
        with pytest.raises(UnreadableFile, match="No such file"):
            probe(tmp_path / "gone.mp3")

    def test_a_pipe_is_refused_at_once(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.mp3")
        with pytest.raises(UnreadableFile, match="no file"):
            probe(tmp_path / "pipe.mp3")

    @pytest.mark.parametrize(
        "name", ["with space.mp3", "quo'te\".mp3", "Ωμέγα 音楽.mp3", "new\nline.mp3", "http:example.mp3"]
    )
    def test_any_name_will_do(self, write, recordings, name):
        assert probe(write(name, recordings["mp3"])).codec == "mp3"

    def test_a_name_that_is_no_text_will_do(self, tmp_path, recordings):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp3"))
        path.write_bytes(recordings["mp3"])
        assert probe(path).codec == "mp3"


class TestHostileFiles:
    def test_no_address_inside_a_file_is_ever_asked(self, tmp_path, recordings):
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.end_headers()

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/song.mp3"
        (tmp_path / "whole.wav").write_bytes(recordings["wav"])
        try:
            for content in (
                f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n",
                f"ffconcat version 1.0\nfile '{address}'\n",
                f"ffconcat version 1.0\nfile '{tmp_path}/whole.wav'\n",
                f'<?xml version="1.0"?><MPD><BaseURL>{address}</BaseURL></MPD>',
                f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio {server.server_port} RTP/AVP 0\n",
            ):
                (tmp_path / "trick.mp3").write_text(content)
                with pytest.raises(NotAudio):
                    probe(tmp_path / "trick.mp3")
                with pytest.raises(NotAudio):
                    decode(content.encode())
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
        assert asked == []

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_damaged_bytes_end_in_an_audio_error_or_in_sound(self, recordings, suffix):
        random = np.random.default_rng(7)
        for _ in range(25):
            damaged = np.frombuffer(recordings[suffix], np.uint8).copy()
            places = random.integers(0, min(len(damaged), random.choice([200, 2_000, len(damaged)])), 30)
            damaged[places] = random.integers(0, 256, 30)
            try:
                waveform = decode(damaged.tobytes(), sample_rate_hz=8_000, mono=True, max_seconds=10).waveform
            except AudioError:
                continue
            assert waveform.shape[0] == 1 and 0 < waveform.shape[1] <= 80_000
            assert waveform.abs().max() <= 1
