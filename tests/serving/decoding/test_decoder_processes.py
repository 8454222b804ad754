"""A file can spoil its own answer and nothing else: whatever happens to a decoder, the service and the others go on."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from decoding_tools import (
    RATE_HZ,
    alive,
    all_gone,
    descriptors,
    nursery_of,
    silent_wav,
    soon,
    started,
    stat_of,
    status_kib,
)

from earmark.audio.decode import EmptyAudio, decode
from earmark.errors import AudioError
from earmark.serving.decoding import Decoded, DecoderDied, Decoders, DecodingTookTooLong

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def heard(decoders: Decoders, content: bytes) -> "asyncio.Task[Decoded]":
    return asyncio.create_task(decoders.decode(content, sample_rate_hz=RATE_HZ))


async def stopped(decoders: Decoders, content: bytes) -> tuple[int, "asyncio.Task[Decoded]"]:
    """A decoder that hangs with a file in its hands: its process id, and who waits for it."""
    waiting = set(decoders.pids)
    for pid in waiting:
        os.kill(pid, signal.SIGSTOP)
    task = heard(decoders, content)
    await asyncio.sleep(0.05)
    (at_work,) = {decoder.pid for decoder in decoders._busy}
    for pid in waiting - {at_work}:
        os.kill(pid, signal.SIGCONT)
    return at_work, task


class TestADecoderThatIsKilled:
    def test_spoils_its_own_file_alone(self, recordings):
        async def run() -> None:
            async with started(2) as decoders:
                victim, lost = await stopped(decoders, recordings["wav"])
                before = set(decoders.pids)
                others = [heard(decoders, recordings["mp3"]) for _ in range(4)]
                await others[0]
                os.kill(victim, signal.SIGKILL)
                with pytest.raises(DecoderDied, match=r"^The decoder died on the audio: .* Get it again"):
                    await lost
                for other in await asyncio.gather(*others):
                    assert np.array_equal(other.samples, decode_mono(recordings["mp3"]))
                await asyncio.gather(*(heard(decoders, recordings["wav"]) for _ in range(4)))
                assert len(decoders.pids) == 2
                assert before & set(decoders.pids) == before - {victim}

        asyncio.run(run())

    def test_in_the_middle_of_its_work_gives_no_half_answer(self, tmp_path):
        async def run() -> None:
            async with started(1) as decoders:
                with silent_wav(tmp_path / "long.wav", 7_200).open("rb") as file:
                    decoding = asyncio.create_task(
                        decoders.decode(file, sample_rate_hz=RATE_HZ, max_seconds=7_200), name="long"
                    )
                    (pid,) = decoders.pids
                    while int(stat_of(pid)[13]) < 10:  # hundredths of a second at work
                        await asyncio.sleep(0.01)
                    os.kill(pid, signal.SIGKILL)
                    with pytest.raises(DecoderDied):
                        await decoding

        asyncio.run(run())

    def test_while_it_waited_spoils_nothing(self, recordings):
        async def run() -> None:
            async with started(2) as decoders:
                for pid in decoders.pids:
                    os.kill(pid, signal.SIGKILL)
                assert all_gone(decoders.pids)
                await asyncio.gather(*(heard(decoders, recordings["wav"]) for _ in range(6)))

        asyncio.run(run())

    def test_is_named_in_the_log_with_what_ended_it(self, recordings, capfd):
        async def run() -> int:
            async with started(1) as decoders:
                pid, lost = await stopped(decoders, recordings["wav"])
                os.kill(pid, signal.SIGKILL)
                await asyncio.gather(lost, return_exceptions=True)
                await heard(decoders, recordings["wav"])
                return pid

        assert f"a decoder (process {asyncio.run(run())}) was ended by SIGKILL" in capfd.readouterr().err

    def test_with_its_nursery_is_replaced_too(self, recordings):
        async def run() -> None:
            async with started(2) as decoders:
                nursery, before = nursery_of(decoders), decoders.pids
                os.kill(nursery, signal.SIGKILL)
                assert all_gone(before)
                await asyncio.gather(*(heard(decoders, recordings["wav"]) for _ in range(6)))
                assert nursery_of(decoders) != nursery
                assert not set(before) & set(decoders.pids)

        asyncio.run(run())


class TestADecoderThatHangs:
    def test_is_ended_in_time_and_replaced(self, recordings):
        async def run() -> None:
            async with started(1, timeout_s=3.0) as decoders:
                hanging, waiting = await stopped(decoders, recordings["wav"])
                began = time.monotonic()
                with pytest.raises(DecodingTookTooLong, match=r"^The audio was not decoded within 3 s"):
                    await waiting
                assert 2.9 < time.monotonic() - began < 15
                assert (await heard(decoders, recordings["wav"])).codec == "pcm_s16le"
                assert all_gone([hanging])

        asyncio.run(run())

    def test_on_a_file_that_is_too_much_is_ended_too(self, tmp_path):
        async def run() -> None:
            async with started(1, timeout_s=0.3) as decoders:
                (before,) = decoders.pids
                with silent_wav(tmp_path / "long.wav", 200_000).open("rb") as file, pytest.raises(DecodingTookTooLong):
                    await decoders.decode(file, sample_rate_hz=1_000, max_seconds=200_000)
                assert all_gone([before])

        asyncio.run(run())

    def test_waiting_for_a_place_is_not_counted(self, recordings):
        async def run() -> None:
            async with started(1, timeout_s=3.0) as decoders:
                _, waiting = await stopped(decoders, recordings["wav"])
                answers = await asyncio.gather(
                    waiting, *(heard(decoders, recordings["wav"]) for _ in range(2)), return_exceptions=True
                )
                assert [type(answer) for answer in answers] == [DecodingTookTooLong, Decoded, Decoded]

        asyncio.run(run())


class TestACallerWhoIsGone:
    def test_leaves_the_place_to_the_next(self, recordings):
        async def run() -> None:
            async with started(1) as decoders:
                hanging, gone = await stopped(decoders, recordings["wav"])
                gone.cancel()
                assert (await asyncio.wait_for(heard(decoders, recordings["wav"]), 20)).codec == "pcm_s16le"
                with pytest.raises(asyncio.CancelledError):
                    await gone
                assert all_gone([hanging])

        asyncio.run(run())

    def test_while_it_waited_its_turn_changes_nothing(self, recordings):
        async def run() -> None:
            async with started(1) as decoders:
                before = decoders.pids
                tasks = [heard(decoders, recordings["wav"]) for _ in range(6)]
                await asyncio.sleep(0)
                for gone in tasks[1:5]:
                    gone.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                assert [isinstance(answer, Decoded) for answer in answers] == [True] + 4 * [False] + [True]
                assert decoders.pids == before

        asyncio.run(run())

    @pytest.mark.parametrize("after_s", [0.0, 0.001, 0.003, 0.01, 0.03])
    def test_at_any_moment_loses_no_place(self, recordings, after_s):
        async def run() -> None:
            async with started(2) as decoders:
                for _ in range(5):
                    tasks = [heard(decoders, recordings["mp3"]) for _ in range(3)]
                    await asyncio.sleep(after_s)
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                answers = await asyncio.wait_for(
                    asyncio.gather(*(heard(decoders, recordings["mp3"]) for _ in range(4))), 60
                )
                for answer in answers:
                    assert np.array_equal(answer.samples, decode_mono(recordings["mp3"]))
                assert len(decoders.pids) == 2

        asyncio.run(run())


class TestLimits:
    def test_are_set(self, recordings):
        async def run() -> dict[str, str]:
            async with started(1, memory_mib=100, timeout_s=7.0) as decoders:
                await heard(decoders, recordings["wav"])
                (pid,) = decoders.pids
                base = status_kib(nursery_of(decoders), "VmSize")
                lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
                found = {line[:26].strip(): line[26:].split()[0] for line in lines}
                assert int(found["Max address space"]) == pytest.approx((base << 10) + (100 << 20), rel=0.02)
                assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
                return found

        found = asyncio.run(run())
        assert found["Max core file size"] == "0"
        assert int(found["Max file size"]) == 100 << 20
        assert int(found["Max open files"]) == 32
        assert 7 < int(found["Max cpu time"]) < 30

    def test_a_file_that_would_fill_the_memory_fails_alone(self, tmp_path, recordings):
        async def run() -> None:
            async with started(1, memory_mib=8) as decoders:
                too_much = pytest.raises(DecoderDied, match=r"^The audio needs more than the 8 MiB of memory")
                with silent_wav(tmp_path / "long.wav", 300).open("rb") as file, too_much:  # 18 MiB of samples
                    await decoders.decode(file, sample_rate_hz=RATE_HZ, max_seconds=300)
                assert (await heard(decoders, recordings["wav"])).codec == "pcm_s16le"

        asyncio.run(run())

    def test_a_picture_larger_than_the_memory_does_no_harm(self, tmp_path, recordings):
        claimed = 200 << 20
        frame = b"APIC" + claimed.to_bytes(4, "big") + b"\0\0" + b"\x00image/png\x00\x03\x00"
        size = bytes((claimed + 40) >> shift & 0x7F for shift in (21, 14, 7, 0))
        path = tmp_path / "cover.mp3"
        with path.open("wb") as file:
            file.write(b"ID3\x03\x00\x00" + size + frame)
            file.truncate(10 + claimed + 40)
            file.seek(0, os.SEEK_END)
            file.write(recordings["mp3"])

        async def run() -> None:
            async with started(1, memory_mib=64) as decoders:
                with path.open("rb") as file, suppress(AudioError):  # FFmpeg does without the picture, or fails
                    answer = await decoders.decode(file, sample_rate_hz=RATE_HZ)
                    assert answer.duration_s == pytest.approx(4.0, abs=0.1)
                assert (await heard(decoders, recordings["wav"])).codec == "pcm_s16le"

        asyncio.run(run())

    def test_a_process_that_computes_beyond_its_time_is_ended_though_nobody_looks(self, tmp_path):
        script = (
            "import os, sys, time\n"
            "from earmark.serving.decoding.limits import allow_cpu\n"
            "allow_cpu(0.2)\n"
            "while True: pass\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], timeout=60)
        assert ended.returncode == -signal.SIGXCPU


class TestAProcess:
    def test_knows_neither_torch_nor_the_tools_of_the_service(self, recordings):
        script = "import earmark.serving.decoding.forking, sys; print(*sys.modules)"
        modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        known = {name.partition(".")[0] for name in modules.split()}
        assert not known & {"torch", "torchaudio", "bentoml", "mlflow", "prefect", "pandas", "sklearn"}
        assert {"numpy", "earmark"} <= known

        async def libraries() -> str:
            async with started(1) as decoders:
                await heard(decoders, recordings["mp3"])
                return Path(f"/proc/{decoders.pids[0]}/maps").read_text()

        mapped = asyncio.run(libraries())
        assert "libav" in mapped
        assert "torch" not in mapped

    def test_keeps_nothing_of_a_file_open(self, recordings, write):
        async def run() -> None:
            async with started(1) as decoders:
                with write("secret.wav", recordings["wav"]).open("rb") as file:
                    await decoders.decode(file, sample_rate_hz=RATE_HZ)
                (pid,) = decoders.pids
                assert soon(lambda: open_files(pid) == 3 * ["/dev/null"] + ["socket:[]"])

        asyncio.run(run())

    def test_leaves_ctrl_c_and_polite_requests_to_the_service(self, recordings):
        async def run() -> None:
            async with started(2) as decoders:
                before = decoders.pids
                for pid in (*before, nursery_of(decoders)):
                    os.kill(pid, signal.SIGINT)
                    os.kill(pid, signal.SIGTERM)
                await asyncio.gather(*(heard(decoders, recordings["wav"]) for _ in range(4)))
                assert decoders.pids == before

        asyncio.run(run())

    def test_is_replaced_after_so_many_files(self, recordings):
        async def run() -> None:
            async with started(1, files_a_process=3) as decoders:
                seen = []
                for _ in range(7):
                    answer = await heard(decoders, recordings["wav"])
                    assert np.array_equal(answer.samples, decode_mono(recordings["wav"]))
                    seen += decoders.pids
                assert len(set(seen)) == 3  # 3 + 3 + 1 files

        asyncio.run(run())

    def test_is_replaced_in_a_fraction_of_the_time_that_the_first_took(self):
        async def run() -> tuple[float, float]:
            began = time.monotonic()
            async with started(1, files_a_process=1) as decoders:
                first = time.monotonic() - began
                times = []
                for _ in range(10):
                    began = time.monotonic()
                    with pytest.raises(EmptyAudio):
                        await heard(decoders, b"")
                    times.append(time.monotonic() - began)
                return first, sorted(times)[3]

        first, others = asyncio.run(run())
        assert others < first / 5  # a twentieth and less, where the machine has nothing else to do

    def test_does_not_pile_up_and_neither_do_open_files(self, recordings):
        async def run() -> None:
            async with started(2, files_a_process=40) as decoders:
                await asyncio.gather(*(heard(decoders, recordings["mp3"]) for _ in range(4)))
                before = descriptors()
                nursery = nursery_of(decoders)
                small = [recordings["opus"], recordings["mp3"], b"", b"lyrics " * 99, recordings["wav"][:50_000]]
                for _ in range(20):
                    files = [heard(decoders, content) for content in 2 * small]
                    await asyncio.gather(*files, return_exceptions=True)
                del files
                assert descriptors() <= before + 2
                children = Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()
                assert len(children) == 2
                assert len(list(Path(f"/proc/{nursery}/fd").iterdir())) <= 5

        asyncio.run(run())


class TestTheEnd:
    def test_leaves_no_process(self, recordings):
        async def run() -> list[int]:
            async with started(2) as decoders:
                _, waiting = await stopped(decoders, recordings["wav"])
                processes = [*decoders.pids, nursery_of(decoders)]
                await decoders.close()
                with pytest.raises(DecoderDied):
                    await waiting
                assert not [pid for pid in processes if stat_of(pid)]  # not even a zombie
                return processes

        assert len(asyncio.run(run())) == 3

    def test_of_a_service_that_is_killed_leaves_no_process(self, tmp_path):
        script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from decoding_tools import RATE_HZ, nursery_of, silent_wav, started
from pathlib import Path

async def run():
    async with started(2) as decoders:
        with silent_wav(Path({str(tmp_path)!r}) / "long.wav", 30_000).open("rb") as file:
            asyncio.create_task(decoders.decode(file, sample_rate_hz=RATE_HZ, max_seconds=30_000))
            await asyncio.sleep(0.2)
            print(nursery_of(decoders), *decoders.pids, flush=True)
            await asyncio.sleep(60)

asyncio.run(run())
"""
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as service:
            pids = [int(pid) for pid in service.stdout.readline().split()]
            assert len(pids) == 3 and all(map(alive, pids))
            service.kill()
        assert all_gone(pids)


def open_files(pid: int) -> list[str]:
    """What a process has open, without numbers."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            found.append(re.sub(r"\d+", "", str(link.readlink())))
    return sorted(found)


def decode_mono(content: bytes) -> np.ndarray:
    return decode(content, sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy()
