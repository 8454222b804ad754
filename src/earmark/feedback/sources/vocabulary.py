"""What a team's own tables call the things that listeners do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from earmark.errors import FeedbackError
from earmark.feedback.event import Ended, Kind


class Act(NamedTuple):
    """What a word means.

    Attributes:
        kind: As `Event.kind`.
        ended: As `Event.ended`.
        taken_back: Whether a like or dislike is withdrawn.
    """

    kind: Kind
    ended: Ended | None = None
    taken_back: bool = False


_WORDS: dict[Act, str] = {
    Act("play"): "play, plays, played, listen, listened, stream, streamed, scrobble",
    Act("play", "complete"): "complete, completed, finish, finished",
    Act("play", "stopped"): "stop, stopped",
    Act("skip", "skipped"): "skip, skipped, next",
    Act("like"): "like, liked, love, loved, favourite, favorite, favourited, favorited, heart, thumbs up, upvote",
    Act("dislike"): "dislike, disliked, hate, hated, thumbs down, downvote, ban, banned, block, blocked",
    Act(
        "like", taken_back=True
    ): "unlike, unliked, unlove, unloved, unfavourite, unfavorite, undislike, unban, unblock",
    Act("rating"): "rating, rate, rated, star, stars, score",
    Act("feeling"): "feeling, feel, felt, emotion",
    Act("tag"): "tag, tagged, label",
    Act("comment"): "comment, commented, review, note",
}
ACTS: Mapping[str, Act] = MappingProxyType({word: act for act, words in _WORDS.items() for word in words.split(", ")})


def plain(word: str) -> str:
    """As words are compared: capitals, hyphens and underscores do not matter."""
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())


def acts_with(own: str) -> Mapping[str, Act]:
    """`ACTS`, and a team's ``own`` words: "star=like,heard=play".

    Raises:
        FeedbackError: It is no such list.
    """
    acts = dict(ACTS)
    for pair in filter(None, map(str.strip, own.split(","))):
        theirs, equals, ours = pair.partition("=")
        if not (equals and plain(theirs) and plain(ours) in ACTS):
            raise FeedbackError(
                f"--events has {pair!r}. It names pairs such as star=like,heard=play: on the left a word of your "
                f"table, on the right one of {', '.join(words.split(', ')[0] for words in _WORDS.values())}."
            )
        acts[plain(theirs)] = ACTS[plain(ours)]
    return acts
