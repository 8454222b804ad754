"""Many files in processes of their own: one that cannot be read, or kills its process, does not stop the others."""

import os
from pathlib import Path
from typing import Any

from earmark.catalogue.imports import inspecting
from earmark.catalogue.imports.inspecting import Task, inspect_all
from made_audio import encode_tone


class Deadly(Task):
    """A task that ends the process which receives it, as a fault in a decoder would."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


class TestADiskThatFails:
    def test_under_the_source_costs_only_that_file(self, tmp_path, monkeypatch):
        song, bad_sector = tmp_path / "song.mp3", Path("/proc/self/mem")  # its first page cannot be read: EIO
        song.write_bytes(encode_tone("mp3", 3.5))
        heard = inspecting.measure(song)
        monkeypatch.setattr(inspecting, "measure", lambda *_, **__: heard)
        found = inspecting.inspect(Task(bad_sector, tmp_path / "copy", tmp_path, min_duration_s=3.0))
        assert found.passing and "Input/output error" in found.reason and "Check the disk" in found.reason


class TestADyingDecoder:
    def test_costs_only_the_file_on_which_it_dies(self, tmp_path):
        song, out, scratch = tmp_path / "song.mp3", tmp_path / "out", tmp_path / "scratch"
        song.write_bytes(encode_tone("mp3", 3.5))
        scratch.mkdir()  # a neighbour that was ended with the dying one may leave a part of a copy here

        def task(number: int, kind: type[Task] = Task) -> Task:
            return kind(song, out / f"{number}.mp3", scratch, min_duration_s=3.0)

        tasks = [task(0), task(1), task(2, Deadly), task(3), task(4)]
        found = dict(inspect_all(tasks, processes=2))
        assert sorted(found) == [0, 1, 2, 3, 4]
        assert "died" in (found[2].reason or "")
        assert {number for number, finding in found.items() if finding.reason is None} == {0, 1, 3, 4}
        assert {path.name for path in out.iterdir()} == {"0.mp3", "1.mp3", "3.mp3", "4.mp3"}
