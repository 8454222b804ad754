"""Every source of feedback by its name: those of earmark, and those that a package adds under ``earmark.feedback``."""

from earmark.errors import FeedbackError
from earmark.feedback.sources.source import FeedbackSource
from earmark.plugins import Plugins

_HERE = "earmark.feedback.sources."

_SOURCES = Plugins(
    "earmark.feedback",
    FeedbackSource,
    {
        "apple-music": f"{_HERE}apple_music:AppleMusicHistory",
        "audioscrobbler": f"{_HERE}lastfm:Audioscrobbler",
        "emotify": f"{_HERE}emotify:EmotifyAnswers",
        "fma": f"{_HERE}fma:FmaCounts",
        "lastfm": f"{_HERE}lastfm:LastFm",
        "listenbrainz": f"{_HERE}listenbrainz:ListenBrainzListens",
        "listenbrainz-feedback": f"{_HERE}listenbrainz:ListenBrainzFeedback",
        "service": f"{_HERE}service:ServiceEvents",
        "spotify": f"{_HERE}spotify:SpotifyHistory",
        "spotify-library": f"{_HERE}spotify:SpotifyLibrary",
        "spotify-short": f"{_HERE}spotify:SpotifyShortHistory",
        "table": f"{_HERE}table:TableHistory",
        "taste-profile": f"{_HERE}taste_profile:TasteProfile",
        "tidal": f"{_HERE}table:TidalHistory",
    },
    said=("name", "service", "expects"),
    error=FeedbackError,
)


def feedback_source_names() -> list[str]:
    """Names that `load_feedback_source` knows, in alphabetical order."""
    return _SOURCES.names()


def load_feedback_source(name: str) -> type[FeedbackSource]:
    """The source called ``name``.

    Raises:
        FeedbackError: There is none; or a package's source cannot be loaded, is none, or takes a name that is taken.
    """
    return _SOURCES.load(name)
