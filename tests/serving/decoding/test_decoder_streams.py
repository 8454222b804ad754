"""A recording of any length comes in blocks, of which only two lie in memory at a time."""

import asyncio
import hashlib
import os
import signal
import sys
from contextlib import aclosing

import numpy as np
import pytest
from decoding_tools import RATE_HZ, all_gone, silent_wav, started, stat_of, status_kib

from earmark.audio.decode import TruncatedAudio, decode
from earmark.audio.metering import measure
from earmark.serving.decoding import Block, DecoderDied, DecodingTookTooLong
from made_audio import encode_tone


def blocks_of(content: bytes, block_seconds: float, **settings: float) -> list[Block]:
    async def run() -> list[Block]:
        async with started(1, **settings) as decoders:
            stream = decoders.stream(content, sample_rate_hz=RATE_HZ, block_seconds=block_seconds)
            return [block async for block in stream]

    return asyncio.run(run())


class TestBlocks:
    @pytest.mark.parametrize("suffix", ["mp3", "flac", "opus", "m4a"])
    @pytest.mark.parametrize("block_seconds", [0.37, 2.0, 60.0])
    def test_joined_are_the_samples_of_decode(self, recordings, suffix, block_seconds):
        blocks = blocks_of(recordings[suffix], block_seconds)
        whole = decode(recordings[suffix], sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy()
        assert np.array_equal(np.concatenate([block.samples for block in blocks]), whole)
        assert {len(block.samples) for block in blocks[:-1]} <= {round(block_seconds * RATE_HZ)}
        assert 0 < len(blocks[-1].samples) <= round(block_seconds * RATE_HZ)

    def test_say_where_they_begin_and_how_long_it_will_go_on(self, recordings):
        blocks = blocks_of(recordings["flac"], 1.5)
        assert [block.start_s for block in blocks] == [0.0, 1.5, 3.0]
        assert [block.duration_s for block in blocks] == [1.5, 1.5, 1.0]
        assert {block.announced_s for block in blocks} == {4.0}

    def test_that_come_out_even_are_followed_by_no_empty_one(self, recordings):
        assert [len(block.samples) for block in blocks_of(recordings["flac"], 2.0)] == [32_000, 32_000]

    def test_know_the_files_hash_and_at_the_end_its_loudness(self, recordings):
        blocks = blocks_of(recordings["wav"], 1.5)
        assert {block.content_hash for block in blocks} == {hashlib.sha256(recordings["wav"]).hexdigest()}
        assert blocks[-1].loudness_lufs == pytest.approx(measure(recordings["wav"]).measures.loudness_lufs, abs=1e-4)

    def test_end_a_second_after_the_longest_that_is_accepted(self, recordings):
        blocks = blocks_of(recordings["wav"], 0.8, max_seconds=2.0)
        assert sum(len(block.samples) for block in blocks) == 3 * RATE_HZ

    def test_of_a_file_that_is_cut_off_come_before_the_error(self):
        async def run() -> int:
            whole = encode_tone("flac", 6.0)
            async with started(1) as decoders:
                seen = 0
                with pytest.raises(TruncatedAudio, match="The audio is cut off"):
                    async for _ in decoders.stream(whole[: len(whole) // 2], sample_rate_hz=RATE_HZ, block_seconds=0.5):
                        seen += 1
                again = await decoders.decode(whole, sample_rate_hz=RATE_HZ)
                assert len(again.samples) == 6 * RATE_HZ
                return seen

        assert 2 <= asyncio.run(run()) <= 7


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
class TestALongRecording:
    def test_needs_no_more_memory_than_two_blocks(self, tmp_path):
        hours, block_seconds = 2, 60.0
        block_kib = block_seconds * RATE_HZ * 4 / 1024

        async def run() -> tuple[int, int]:
            async with started(1, max_seconds=hours * 3600.0, loudness=False) as decoders:
                (pid,) = decoders.pids
                before, blocks = status_kib(pid, "VmHWM"), 0
                here = status_kib(os.getpid(), "VmRSS")
                with silent_wav(tmp_path / "mix.wav", hours * 3600).open("rb") as file:
                    async for block in decoders.stream(file, sample_rate_hz=RATE_HZ, block_seconds=block_seconds):
                        blocks += 1
                        assert not block.samples.any()
                        assert block.announced_s == pytest.approx(hours * 3600)
                assert blocks == hours * 60
                assert status_kib(os.getpid(), "VmRSS") - here < 8 * block_kib
                return before, status_kib(pid, "VmHWM")

        before, after = asyncio.run(run())
        assert after - before < 2 * block_kib + 16_000  # the whole would be 450,000

    def test_waits_for_whoever_works_on_it(self, tmp_path):
        async def run() -> None:
            async with started(1, max_seconds=3600.0) as decoders:
                with silent_wav(tmp_path / "mix.wav", 3600).open("rb") as file:
                    stream = decoders.stream(file, sample_rate_hz=RATE_HZ, block_seconds=10.0)
                    async with aclosing(stream):
                        await anext(stream)
                        (pid,) = decoders.pids
                        while stat_of(pid)[2] != "S":  # it prepares one more, then sleeps
                            await asyncio.sleep(0.01)
                        await asyncio.sleep(0.1)
                        worked = stat_of(pid)[13]
                        await asyncio.sleep(0.3)
                        assert stat_of(pid)[13] == worked
                        assert (await anext(stream)).start_s == 10.0

        asyncio.run(run())

    def test_that_is_given_up_leaves_its_place_to_the_next(self, tmp_path, recordings):
        async def run() -> None:
            async with started(1, max_seconds=3600.0) as decoders:
                with silent_wav(tmp_path / "mix.wav", 3600).open("rb") as file:
                    async with aclosing(decoders.stream(file, sample_rate_hz=RATE_HZ, block_seconds=10.0)) as stream:
                        async for _ in stream:
                            break
                    answer = await asyncio.wait_for(decoders.decode(recordings["mp3"], sample_rate_hz=RATE_HZ), 20)
                    assert answer.codec == "mp3"

        asyncio.run(run())

    @pytest.mark.parametrize(("signal_", "error"), [("SIGKILL", DecoderDied), ("SIGSTOP", DecodingTookTooLong)])
    def test_whose_decoder_dies_or_hangs_ends_with_an_error(self, tmp_path, recordings, signal_, error):
        async def run() -> None:
            async with started(1, max_seconds=3600.0, timeout_s=3.0) as decoders:
                with silent_wav(tmp_path / "mix.wav", 3600).open("rb") as file:
                    blocks = 0
                    with pytest.raises(error):
                        async for _ in decoders.stream(file, sample_rate_hz=RATE_HZ, block_seconds=10.0):
                            blocks += 1
                            if blocks == 3:
                                (pid,) = decoders.pids
                                os.kill(pid, signal.Signals[signal_])
                assert 3 <= blocks <= 4
                await decoders.decode(recordings["mp3"], sample_rate_hz=RATE_HZ)
                assert all_gone([pid])

        asyncio.run(run())
