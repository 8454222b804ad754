"""The stage that renders the embedded sample: params in, data/collections/songbook/ out."""

from pathlib import Path

from earmark.params import Params


def run(params: Params, root: Path) -> None:
    """Render the songbook of ``params.songbook`` into ``root``'s collections.

    Raises:
        CatalogueError: The installed packages lack the scores or the soundfont.
    """
    from earmark.catalogue.songbook.making import make_songbook

    make_songbook(params.songbook, root)
