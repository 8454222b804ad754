"""What a recording is, found out by decoding it to its end and measuring nothing."""

from pathlib import Path

from earmark.audio.decode import AudioInfo, open_recording


def probe(source: Path | bytes) -> AudioInfo:
    with open_recording(source) as opened:
        for _ in opened.frames():
            pass
        return AudioInfo(opened.decoded_s, opened.rate_hz, opened.channels, opened.codec)
