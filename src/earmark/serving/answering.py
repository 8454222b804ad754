"""From what was heard to what is answered: the shapes of `earmark.serving.answers`, for the service and for files."""

import uuid
from typing import TYPE_CHECKING, Any

from earmark.serving.answers import (
    Answer,
    AppealAnswer,
    BandAnswer,
    ExplainAnswer,
    FactsAnswer,
    GenreAnswer,
    KeyAnswer,
    LoudnessAnswer,
    ModelAnswer,
    MomentAnswer,
    MomentReason,
    MomentTag,
    ShareAnswer,
    SimilarAnswer,
    SimilarSong,
    TagAnswer,
    TempoAnswer,
)

if TYPE_CHECKING:
    from earmark.audio.facts import Facts
    from earmark.model.neighbours import Neighbour, Neighbours
    from earmark.model.prediction import Moment, Prediction, Share
    from earmark.model.reasons.attribution import Why
    from earmark.serving.champion import Champion

_GENRES, _TAGS = 3, 5  # of a moment: the rest is noise, and most of an answer's bytes


def new_prediction_id() -> str:
    """A name for an answer; nobody can guess another one's."""
    return uuid.uuid4().hex


def answer_of(
    prediction: "Prediction",
    champion: "Champion",
    *,
    prediction_id: str,
    facts: "Facts",
    content_hash: str,
    duration_s: float,
) -> Answer:
    """All that is said of a recording, and by which model."""
    return Answer.model_construct(
        prediction_id=prediction_id,
        genres=[_genre(each) for each in prediction.genres],
        genre_set=list(prediction.genre_set),
        coverage=prediction.coverage,
        abstains=prediction.abstains,
        tags=[
            TagAnswer.model_construct(share=each.share, low=each.low, high=each.high, tag=each.tag)
            for each in prediction.tags
        ],
        appeal=None if prediction.appeal is None else appeal_answer(prediction.appeal, champion.neighbours),
        moments=[_moment(each) for each in prediction.moments],
        facts=facts_answer(facts),
        unlike=prediction.unlike,
        warnings=list(prediction.warnings),
        model=model_answer(champion),
        content_hash=content_hash,
        duration_s=duration_s,
        heard_seconds=prediction.heard_seconds,
    )


def model_answer(champion: "Champion") -> ModelAnswer:
    """Which model an answer comes from."""
    role: Any = "canary" if champion.role == "canary" else "champion"
    return ModelAnswer.model_construct(
        name=champion.name,
        version=champion.version,
        run_id=champion.run_id,
        kind=champion.predictor.kind,
        data_hash=champion.predictor.data_hash,
        role=role,
    )


def appeal_answer(appeal: "Share", neighbours: "Neighbours | None") -> AppealAnswer:
    """The expected liking, and its place among the catalogue's songs."""

    def rank(share: float | None) -> float | None:
        return None if neighbours is None or share is None else neighbours.rank(share)

    return AppealAnswer.model_construct(
        share=appeal.share,
        low=appeal.low,
        high=appeal.high,
        rank=rank(appeal.share),
        rank_low=rank(appeal.low),
        rank_high=rank(appeal.high),
        of=None if neighbours is None else len(neighbours),
    )


def facts_answer(facts: "Facts") -> FactsAnswer:
    """What was measured."""
    tempo, key, loudness = facts.tempo, facts.key, facts.loudness
    return FactsAnswer.model_construct(
        tempo=None if tempo is None else TempoAnswer.model_construct(bpm=tempo.bpm, confidence=tempo.confidence),
        key=None
        if key is None
        else KeyAnswer.model_construct(tonic=key.tonic, mode=key.mode, confidence=key.confidence),
        loudness=None
        if loudness is None
        else LoudnessAnswer.model_construct(lufs=loudness.lufs, confidence=loudness.confidence),
    )


def similar_answer(found: "list[Neighbour]", champion: "Champion") -> SimilarAnswer:
    """The songs that lie nearest."""
    return SimilarAnswer(
        songs=[
            SimilarSong(
                track_id=each.track_id,
                title=each.title,
                artist=each.artist,
                genre=each.genre,
                similarity=min(1.0, max(-1.0, each.similarity)),
                listeners=each.listeners,
                liked=None
                if each.liked is None
                else ShareAnswer(share=each.liked.share, low=each.liked.low, high=each.liked.high),
                tags=[MomentTag(tag=tag.tag, share=tag.share) for tag in each.tags],
            )
            for each in found
        ],
        of=0 if champion.neighbours is None else len(champion.neighbours),
        model=model_answer(champion),
    )


def explain_answer(why: "Why", rather_than: str | None, champion: "Champion") -> ExplainAnswer:
    """What speaks for a genre and what against it."""
    moments = list(zip(why.moment_seconds, why.moments, why.heard, strict=True))
    half = float(why.moment_seconds[0])  # moments are equally long, and the first one's middle is half its length
    return ExplainAnswer(
        genre=why.label,
        rather_than=rather_than,
        bands=[BandAnswer(hz=hz, nats=nats) for hz, nats in zip(why.band_hz, why.bands, strict=True)],
        moments=[
            MomentReason(
                start_s=max(0.0, middle - half), end_s=middle + half, nats_per_s=nats, heard=min(1.0, max(0.0, heard))
            )
            for middle, nats, heard in moments
        ],
        difference=why.difference,
        gap=why.gap,
        model=model_answer(champion),
    )


def _genre(each: Any) -> GenreAnswer:
    return GenreAnswer.model_construct(genre=each.genre, probability=each.probability)


def _moment(moment: "Moment") -> MomentAnswer:
    return MomentAnswer.model_construct(
        start_s=moment.start_s,
        end_s=moment.end_s,
        genres=[_genre(each) for each in moment.genres[:_GENRES]],
        tags=[MomentTag.model_construct(tag=each.tag, share=each.share) for each in moment.tags[:_TAGS]],
    )
