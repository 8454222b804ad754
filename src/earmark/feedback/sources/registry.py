"""Every source of feedback by its name: those of earmark, and those that a package adds under ``earmark.feedback``."""

from importlib import import_module
from importlib.metadata import entry_points

from earmark.errors import FeedbackError
from earmark.feedback.sources.source import FeedbackSource

GROUP = "earmark.feedback"
_HERE = "earmark.feedback.sources."

_BUILT_IN = {
    "apple-music": "apple_music:AppleMusicHistory",
    "audioscrobbler": "lastfm:Audioscrobbler",
    "emotify": "emotify:EmotifyAnswers",
    "fma": "fma:FmaCounts",
    "lastfm": "lastfm:LastFm",
    "listenbrainz": "listenbrainz:ListenBrainzListens",
    "listenbrainz-feedback": "listenbrainz:ListenBrainzFeedback",
    "spotify": "spotify:SpotifyHistory",
    "spotify-library": "spotify:SpotifyLibrary",
    "spotify-short": "spotify:SpotifyShortHistory",
    "table": "table:TableHistory",
    "taste-profile": "taste_profile:TasteProfile",
    "tidal": "table:TidalHistory",
}


def feedback_source_names() -> list[str]:
    """Names that `load_feedback_source` knows, in alphabetical order."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def load_feedback_source(name: str) -> type[FeedbackSource]:
    """The source called ``name``.

    Raises:
        FeedbackError: There is none, or a package's cannot be loaded or is none.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[FeedbackSource] = getattr(import_module(_HERE + module), attribute)
        return found
    added = [point for point in entry_points(group=GROUP) if point.name == name]
    if not added:
        raise FeedbackError(f"There is no source {name!r}. Known are {', '.join(feedback_source_names())}.")
    try:
        plugin = added[0].load()
    except Exception as error:  # whatever a foreign package does wrong, it is named
        raise FeedbackError(
            f"The source {name!r} cannot be loaded ({type(error).__name__}: {error}). Mend or uninstall the package "
            f"{added[0].dist.name if added[0].dist else added[0].value}."
        ) from error
    if not (isinstance(plugin, type) and issubclass(plugin, FeedbackSource)):
        raise FeedbackError(f"The source {name!r} is {plugin!r}, no subclass of FeedbackSource.")
    return plugin
