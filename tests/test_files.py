"""Writing files in one step."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from earmark.files import replacing


class TestReplacing:
    @pytest.mark.parametrize("umask", [0o022, 0o077])
    def test_a_file_gets_the_rights_that_the_users_umask_leaves(self, tmp_path, umask):
        before = os.umask(umask)
        try:
            with replacing(tmp_path / "file") as part:
                part.write_text("new")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask

    def test_nobody_else_sees_another_umask_meanwhile(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is the whole process's"))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: self._write(tmp_path / name), ["a", "b"]))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    def test_a_failure_leaves_the_old_file_and_no_part(self, tmp_path):
        self._write(tmp_path / "file")
        with pytest.raises(ValueError), replacing(tmp_path / "file") as part:
            part.write_text("half")
            raise ValueError
        assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]

    @staticmethod
    def _write(path):
        with replacing(path) as part:
            part.write_text("new")
