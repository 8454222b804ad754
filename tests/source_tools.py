"""For tests of sources: folders laid out by a dictionary, and what a source says of them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.imports.summary import ImportResult
from earmark.catalogue.sources.source import Candidate, Refusal, Source
from earmark.catalogue.track import read_tracks
from earmark.params import load_params
from made_audio import encode_tone
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


def lay_out(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write each file at its path below ``folder``."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def lines(*rows: str) -> str:
    return "".join(row + "\n" for row in rows)


def candidates(source: Source) -> dict[str, Candidate]:
    """By path; the same path twice is a failure."""
    found = [entry for entry in source.candidates() if isinstance(entry, Candidate)]
    assert max(Counter(entry.path for entry in found).values(), default=1) == 1
    return {entry.path: entry for entry in found}


def refusals(source: Source) -> dict[str, tuple[str, str]]:
    """Kind and reason by path; the same path twice is a failure."""
    found = [entry for entry in source.candidates() if isinstance(entry, Refusal)]
    assert max(Counter(entry.path for entry in found).values(), default=1) == 1
    return {entry.path: (entry.kind, entry.reason) for entry in found}


def kinds(source: Source) -> dict[str, str]:
    return {path: kind for path, (kind, _) in refusals(source).items()}


def tone(suffix: str, number: int = 0, **how: object) -> bytes:
    """A short recording that differs from that of another number."""
    rate_hz, channels = (8_000, 1) if suffix in ("wav", "au") else (48_000, 2)
    return encode_tone(suffix, 3.2, rate_hz=rate_hz, channels=channels, tone_hz=300.0 + 10 * number, **how)


def imported(source: Source, root: Path) -> tuple[ImportResult, "object"]:
    """The real import, and the tracks that it wrote, by track_id."""
    result = import_collection(source, root, PARAMS, processes=1)
    return result, read_tracks(result.folder / "tracks.parquet").set_index("track_id")
