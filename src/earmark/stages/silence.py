"""The stage `silence`: a snapshot without any events, for a catalogue that nobody has listened to yet."""

from pathlib import Path

from earmark.feedback.snapshot import write_empty
from earmark.params import Params
from earmark.workspace import SILENCE, SNAPSHOTS


def run(params: Params, root: Path) -> None:
    """Write data/feedback/none/."""
    write_empty(root / SNAPSHOTS / SILENCE)
