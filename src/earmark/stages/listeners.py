"""The stage `listeners`: the songbook in; made-up listeners' exports, and apart from them the truth, out."""

from pathlib import Path

from earmark.catalogue.track import read_tracks
from earmark.params import Params
from earmark.workspace import COLLECTIONS, LISTENERS, SONGBOOK, TRACKS


def run(params: Params, root: Path) -> None:
    """Write data/listeners/.

    Raises:
        CatalogueError: There is no songbook.
        FeedbackError: So few songs cannot fill so many plays.
    """
    from earmark.feedback.simulation.world import simulate
    from earmark.feedback.simulation.writing import write_world

    tracks = read_tracks(root / COLLECTIONS / SONGBOOK / TRACKS)
    write_world(simulate(tracks, params.listeners), root / LISTENERS)
