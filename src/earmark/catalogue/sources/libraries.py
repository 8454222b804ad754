"""Every library by its name, as `earmark label NAME` knows it; loaded when asked for."""

from importlib import import_module

from earmark.catalogue.sources.library import Library

_PLACES = {
    "apple-music": "earmark.catalogue.sources.apple_music:AppleMusicLibrary",
    "apple-music-export": "earmark.catalogue.sources.apple_music:AppleMusicExport",
    "apple-music-xml": "earmark.catalogue.sources.apple_music:AppleMusicXml",
    "spotify": "earmark.catalogue.sources.spotify:SpotifyLibrary",
    "spotify-export": "earmark.catalogue.sources.spotify:SpotifyExport",
    "tidal": "earmark.catalogue.sources.tidal:TidalLibrary",
}


def library_names() -> list[str]:
    """Names that `load_library` knows, in alphabetical order."""
    return list(_PLACES)


def load_library(name: str) -> type[Library]:
    """The library called ``name``, one of `library_names`."""
    module, _, attribute = _PLACES[name].partition(":")
    found: type[Library] = getattr(import_module(module), attribute)
    return found
