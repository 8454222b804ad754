"""What comes back from another process is what `decode` says, to the bit and to the word."""

import asyncio
import hashlib
import io
import os
import tempfile
import warnings
from typing import BinaryIO

import numpy as np
import pytest
import torch
from decoding_tools import RATE_HZ, with_decoders

from earmark.audio.decode import EmptyAudio, NotAudio, TruncatedAudio, UndecodableAudio, decode
from earmark.audio.metering import measure
from earmark.errors import AudioError, ToolError
from earmark.serving.decoding import Decoded, Decoders
from made_audio import FORMATS, encode_samples, encode_tone


def decoded(*files: bytes | BinaryIO, max_seconds: float = 60.0, **settings: object) -> list[Decoded | AudioError]:
    """What decoders make of files, one after the other."""

    async def all_of_them(decoders: Decoders) -> list[Decoded | AudioError]:
        answers: list[Decoded | AudioError] = []
        for file in files:
            try:
                answers.append(await decoders.decode(file, sample_rate_hz=RATE_HZ, max_seconds=max_seconds))
            except AudioError as error:
                answers.append(error)
        return answers

    return with_decoders(all_of_them, **settings)


def expected(content: bytes, **how: float) -> np.ndarray:
    return decode(content, sample_rate_hz=RATE_HZ, mono=True, **how).waveform[0].numpy()


class TestSamples:
    def test_of_every_format_are_those_of_decode_to_the_bit(self, recordings):
        for suffix, answer in zip(FORMATS, decoded(*(recordings[suffix] for suffix in FORMATS)), strict=True):
            assert np.array_equal(answer.samples, expected(recordings[suffix])), suffix
            assert answer.codec == decode(recordings[suffix]).codec
            assert answer.duration_s == len(answer.samples) / RATE_HZ

    def test_are_the_same_from_whatever_the_upload_lies_in(self, recordings, write):
        content = recordings["mp3"]
        with (
            tempfile.SpooledTemporaryFile(max_size=1 << 20) as small,
            tempfile.SpooledTemporaryFile(max_size=1_000) as large,
            tempfile.TemporaryFile() as unnamed,
            write("song.mp3", content).open("rb") as on_disk,
        ):
            for written in (small, large, unnamed):
                written.write(content)  # and not flushed
            sources = [content, io.BytesIO(content), small, large, unnamed, on_disk]
            for answer in decoded(*sources):
                assert np.array_equal(answer.samples, expected(content))
            assert not small._rolled  # it went from memory to memory

    def test_leave_the_callers_file_where_it_was(self, recordings, write):
        with write("song.mp3", recordings["mp3"]).open("rb") as file:
            file.seek(77)
            for source in (file, io.BytesIO(recordings["mp3"])):
                source.seek(77)
                (answer,) = decoded(source)
                assert source.tell() == 77
                assert np.array_equal(answer.samples, expected(recordings["mp3"]))

    def test_large_uploads_are_taken_as_small_ones(self):
        content = encode_tone("wav", 20.0)
        assert len(content) > 3_000_000
        (answer,) = decoded(content)
        assert np.array_equal(answer.samples, expected(content))

    def test_are_torchs_without_a_copy_and_without_a_warning(self, recordings):
        (answer,) = decoded(recordings["wav"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tensor = torch.from_numpy(answer.samples)
        tensor[0] = 0.25
        assert answer.samples[0] == np.float32(0.25)

    def test_end_a_second_after_the_longest_that_is_accepted(self):
        content = encode_tone("flac", 6.0)
        (answer,) = decoded(content, max_seconds=3.0)
        assert len(answer.samples) == 4 * RATE_HZ
        assert np.array_equal(answer.samples, expected(content)[: 4 * RATE_HZ])

    def test_beyond_full_scale_or_no_numbers_are_brought_into_range(self):
        samples = np.array([[0.5, 3.0, -3.0, np.nan, np.inf, -np.inf, 0.25, 0.0] * 20_000])
        content = bytearray(encode_samples(np.zeros_like(samples), "wav", RATE_HZ, encoder="pcm_f32le"))
        content[-samples.size * 4 :] = samples.astype("<f4").tobytes()
        (answer,) = decoded(bytes(content))
        assert answer.samples[:8].tolist() == [0.5, 1.0, -1.0, 0.0, 1.0, -1.0, 0.25, 0.0]
        assert np.array_equal(answer.samples, expected(bytes(content)))

    def test_follow_a_change_of_rate_and_channels_within_a_file(self, encode):
        bare = {"write_xing": "0", "id3v2_version": "0"}
        content = encode("mp3", 2.0, muxer_options=bare) + encode(
            "mp3", 2.0, rate_hz=32_000, channels=1, muxer_options=bare
        )
        (answer,) = decoded(content)
        assert np.array_equal(answer.samples, expected(content))
        assert answer.loudness_lufs == pytest.approx(measure(content).measures.loudness_lufs, abs=0.01)


class TestWhatIsToldBeside:
    def test_the_hash_is_of_all_bytes_even_where_decoding_stops_early(self, recordings):
        for max_seconds in (60.0, 0.5):
            (answer,) = decoded(recordings["wav"], max_seconds=max_seconds)
            assert answer.content_hash == hashlib.sha256(recordings["wav"]).hexdigest()

    @pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000])
    def test_loudness_is_what_metering_measures(self, rate_hz):
        loud = np.random.default_rng(0).normal(0, 0.1, (2, 7 * rate_hz + 77)) * [[1.0], [0.3]]
        content = encode_samples(loud, "flac", rate_hz)
        (answer,) = decoded(content)
        assert answer.loudness_lufs == pytest.approx(measure(content).measures.loudness_lufs, abs=1e-4)

    def test_silence_has_no_loudness(self):
        silent, short = encode_samples(np.zeros((1, 32_000)), "wav", 16_000), encode_tone("wav", 0.3)
        assert [answer.loudness_lufs for answer in decoded(silent, short)] == [None, None]

    def test_loudness_can_be_left_out(self, recordings):
        (answer,) = decoded(recordings["wav"], loudness=False)
        assert answer.loudness_lufs is None


def ruined(content: bytes) -> bytes:
    """The half in the middle is noise."""
    quarter = len(content) // 4
    return content[:quarter] + np.random.default_rng(5).bytes(2 * quarter) + content[3 * quarter :]


class TestErrors:
    def test_cross_the_border_with_class_and_text(self, recordings):
        hostile = {
            "text": (b"These are the lyrics.\n" * 400, NotAudio),
            "nothing": (b"", EmptyAudio),
            "cut off": (recordings["wav"][:100_000], TruncatedAudio),
            "cut at the end": (recordings["flac"][: len(recordings["flac"]) // 2], TruncatedAudio),
            "ruined": (ruined(recordings["m4a"]), UndecodableAudio),
            "too short": (encode_samples(np.zeros((1, 1)), "wav", 384_000), AudioError),
        }
        for (content, kind), answer in zip(
            hostile.values(), decoded(*(content for content, _ in hostile.values())), strict=True
        ):
            with pytest.raises(kind) as here:
                expected(content)
            assert type(answer) is type(here.value)
            assert str(answer) == str(here.value)

    def test_never_name_a_file(self, write):
        with write("secret name.mp3", b"no music " * 99).open("rb") as file:
            (error,) = decoded(file)
        assert str(error).startswith("The audio is not audio that can be read: it is text")
        assert "secret" not in str(error)

    def test_a_pipe_is_refused_at_once(self):
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
            (error,) = decoded(pipe)
        assert "pipe" in str(error)

    def test_do_not_wear_the_process_out(self, recordings):
        async def both(decoders: Decoders) -> tuple[list[int], list[int], Decoded]:
            before = decoders.pids
            with pytest.raises(NotAudio):
                await decoders.decode(b"lyrics " * 99, sample_rate_hz=RATE_HZ)
            answer = await decoders.decode(recordings["mp3"], sample_rate_hz=RATE_HZ)
            return before, decoders.pids, answer

        before, after, answer = with_decoders(both)
        assert before == after
        assert np.array_equal(answer.samples, expected(recordings["mp3"]))


class TestTurns:
    def test_first_come_first_served(self, recordings):
        async def in_order(decoders: Decoders) -> list[int]:
            order: list[int] = []

            async def one(number: int) -> None:
                await decoders.decode(recordings["wav"], sample_rate_hz=RATE_HZ)
                order.append(number)

            await asyncio.gather(*(one(number) for number in range(12)))
            return order

        assert with_decoders(in_order) == list(range(12))

    def test_files_are_decoded_beside_each_other_by_as_many_processes_as_asked_for(self, recordings):
        async def many(decoders: Decoders) -> tuple[int, list[Decoded]]:
            files = [recordings[suffix] for suffix in FORMATS]
            answers = await asyncio.gather(*(decoders.decode(file, sample_rate_hz=RATE_HZ) for file in files))
            return len(decoders.pids), answers

        processes, answers = with_decoders(many, count=3)
        assert processes == 3
        for suffix, answer in zip(FORMATS, answers, strict=True):
            assert np.array_equal(answer.samples, expected(recordings[suffix])), suffix

    def test_decoders_start_when_they_are_first_needed(self, recordings):
        async def unstarted() -> Decoded:
            decoders = Decoders(1, max_seconds=60.0, timeout_s=60.0)
            try:
                return await decoders.decode(recordings["wav"], sample_rate_hz=RATE_HZ)
            finally:
                await decoders.close()

        assert asyncio.run(unstarted()).codec == "pcm_s16le"

    def test_closed_decoders_say_so(self, recordings):
        async def closed(decoders: Decoders) -> None:
            await decoders.close()
            with pytest.raises(ToolError, match="closed"):
                await decoders.decode(recordings["wav"], sample_rate_hz=RATE_HZ)

        with_decoders(closed)
