"""Tracks by hand, for tests that look at who is akin to whom."""

import hashlib
from typing import Any

from earmark.catalogue.track import Track


def track(name: str, **known: Any) -> Track:
    """A track called ``name``, alone in its group unless told."""
    return Track(
        **{
            "track_id": name,
            "path": f"{name}.wav",
            "content_hash": hashlib.sha256(name.encode()).hexdigest(),
            "duration_s": 3.0,
            "sample_rate_hz": 8_000,
            "channels": 1,
            "codec": "pcm_s16le",
            "source": "folder",
            "group": f"track:{name}",
            **known,
        }
    )
