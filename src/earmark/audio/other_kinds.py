"""What a file is that is no audio, in words: a picture, a playlist, a web page … so that its owner sees the mistake."""

from typing import BinaryIO


def what_it_is(file: BinaryIO, container: str | None) -> str:
    """What a file that is no audio seems to be, as the end of a sentence that begins with "it".

    Args:
        file: Open for reading in binary, seekable.
        container: The container that its first bytes promised, or None.
    """
    file.seek(0)
    head = file.read(512)
    if container:
        found = f"begins like {container}, but what follows is not"
    elif kind := next((kind for magic, kind in _OTHER_KINDS.items() if head.lstrip().lower().startswith(magic)), None):
        found = f"is {kind}"
    elif b"\0" not in head and _is_text(head):
        found = "is text"
    else:
        found = f"begins with the bytes {head[:8].hex(' ')}, which no known format does"
    return found


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


_OTHER_KINDS = {
    b"\x89png": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"gif8": "a picture (GIF)",
    b"%pdf": "a PDF",
    b"pk\x03\x04": "a ZIP archive",
    b"mthd": "MIDI: notes, no sound; render it first",
    b"#extm3u": "a playlist",
    b"[playlist]": "a playlist",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}
