"""What 10,000 small files cost under DVC, and what the same content costs as a few archives.

A made-up collection of 3 KB files, under `dvc add`, `status`, `push` (to a folder), `checkout` and `pull`: once as
files, once as zip archives (stored, 1,000 files each). Seconds, each command as typed.

    python bench/dvc_files.py
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zipfile import ZipFile

FILES, PER_ARCHIVE, FILE_BYTES = 10_000, 1_000, 3_000
_DVC = str(Path(sys.executable).with_name("dvc"))


def measure(folder: Path, *, files: int = FILES, archives: bool) -> dict[str, float]:
    """Seconds for each command on ``files`` small files made below ``folder``.

    Args:
        folder: An empty folder; about 150 MB are written for 10,000 files.
        files: How many.
        archives: Keep them in zip archives of 1,000.

    Returns:
        ``add_s``, ``status_s`` (nothing changed), ``push_s``, ``checkout_s`` (the workspace lost, the cache kept) and
        ``pull_s`` (both lost).
    """
    root = folder / "project"
    audio = root / "audio"
    audio.mkdir(parents=True)
    _run(root, "git", "init", "--quiet")
    _run(root, _DVC, "init", "--quiet")
    _run(root, _DVC, "config", "core.analytics", "false")
    _run(root, _DVC, "remote", "add", "--quiet", "--default", "storage", str(folder / "remote"))
    _make(audio, files, archives=archives)

    figures = {
        "add_s": _timed(root, "add", "audio"),
        "status_s": _timed(root, "status"),
        "push_s": _timed(root, "push"),
    }
    shutil.rmtree(audio)
    figures["checkout_s"] = _timed(root, "checkout")
    shutil.rmtree(audio)
    shutil.rmtree(root / ".dvc" / "cache")
    figures["pull_s"] = _timed(root, "pull")
    _check(audio, files, archives=archives)
    return figures


def _make(folder: Path, files: int, *, archives: bool) -> None:
    noise = random.Random(1)
    for first in range(0, files, PER_ARCHIVE):
        numbers = range(first, min(first + PER_ARCHIVE, files))
        if archives:
            with ZipFile(folder / f"{first // PER_ARCHIVE:04d}.zip", "w") as archive:
                for number in numbers:
                    archive.writestr(f"{number:05d}.mp3", noise.randbytes(FILE_BYTES))
        else:
            for number in numbers:
                (folder / f"{number:05d}.mp3").write_bytes(noise.randbytes(FILE_BYTES))


def _check(folder: Path, files: int, *, archives: bool) -> None:
    """Raise unless all is back."""
    found = list(folder.iterdir())
    count = sum(len(ZipFile(path).namelist()) for path in found) if archives else len(found)
    if count != files:
        raise RuntimeError(f"After `dvc pull` there are {count} files instead of {files}.")


def _timed(root: Path, *arguments: str) -> float:
    began = time.monotonic()
    _run(root, _DVC, *arguments)
    return time.monotonic() - began


def _run(root: Path, *command: str) -> None:
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def measure_dvc(files: int = FILES) -> dict[str, float]:
    """Both ways: ``dvc_<command>_<files>_s`` for plain files, ``dvc_<command>_<files>_archived_s`` for archives."""
    figures: dict[str, float] = {}
    for archives, suffix in ((False, "_s"), (True, "_archived_s")):
        with tempfile.TemporaryDirectory(prefix="earmark-dvc-") as folder:
            seconds = measure(Path(folder), files=files, archives=archives)
        figures |= {f"dvc_{name.removesuffix('_s')}_{files}{suffix}": value for name, value in seconds.items()}
    return figures


def main() -> None:
    """Measure both, and print them."""
    print(f"{FILES:,} files of {FILE_BYTES:,} bytes, as they are and in archives of {PER_ARCHIVE:,}; seconds:")
    for name, seconds in measure_dvc().items():
        print(f"{name:34s} {seconds:8.2f}")


if __name__ == "__main__":
    main()
