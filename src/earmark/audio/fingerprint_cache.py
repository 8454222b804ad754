"""Fingerprints on disk, by content hash: made once for each recording, in whatever pass decodes it first."""

from pathlib import Path

from earmark.audio.array_cache import ArrayCache
from earmark.audio.fingerprint import FINGERPRINT_VERSION, PEAK
from earmark.audio.shared_cache import SharedCache


class FingerprintCache(ArrayCache):
    """Fingerprints of dtype `PEAK`, shape ``(peaks + 1,)`` an entry."""

    def __init__(self, folder: Path, shared: SharedCache | None = None) -> None:
        super().__init__(folder, f"fingerprints-{FINGERPRINT_VERSION}", PEAK, (None,), shared)
