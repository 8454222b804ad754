"""Everything that a prediction says reaches whoever asks the service."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from earmark.audio.facts import Facts
from earmark.model.prediction import GenreProbability, Moment, Prediction, Share, TagShare
from earmark.serving.answering import answer_of, appeal_answer
from earmark.serving.answers import EXAMPLE, Answer
from earmark.serving.champion import Champion
from earmark.serving.openapi import complete

NOTHING = Facts(tempo=None, key=None, loudness=None)
PREDICTION = Prediction(
    genres=(GenreProbability("reel", 0.7), GenreProbability("jig", 0.3)),
    heard_seconds=8.0,
    tags=(TagShare(0.4, 0.2, 0.6, tag="feeling---calmness"), TagShare(0.1, tag="word---sea")),
    appeal=Share(0.5, 0.3, 0.8),
    genre_set=("reel", "jig"),
    coverage=0.9,
    abstains=True,
    unlike=0.02,
    warnings=("It is unlike anything in training.",),
    moments=(Moment(0.0, 4.0, (GenreProbability("jig", 1.0),), (TagShare(0.3, tag="word---sea"),)),),
)


@dataclass
class Ranked:
    """A catalogue of so many songs, whose expected liking is even between 0 and 1."""

    songs: int = 100
    asked: list[float] = field(default_factory=list)

    def __len__(self):
        return self.songs

    def rank(self, share):
        self.asked.append(share)
        return share


def champion(neighbours=None, role="champion"):
    predictor = SimpleNamespace(kind="network", data_hash="d")
    return Champion(predictor, "earmark", "3", "r", role, neighbours)


def answered(prediction=PREDICTION, **how):
    told = answer_of(prediction, champion(**how), prediction_id="p", facts=NOTHING, content_hash="c", duration_s=9.5)
    return Answer.model_validate(told.model_dump())  # it is what it is declared to be


class TestAnswers:
    def test_an_answer_holds_all_of_the_prediction(self):
        told, said = answered().model_dump(mode="json"), PREDICTION.to_dict()
        for name in ("genre_set", "coverage", "abstains", "unlike", "warnings", "heard_seconds"):
            assert told[name] == (list(said[name]) if isinstance(said[name], tuple) else said[name])
        assert [each["genre"] for each in told["genres"]] == ["reel", "jig"]
        assert told["tags"] == [
            {"share": 0.4, "low": 0.2, "high": 0.6, "tag": "feeling---calmness"},
            {"share": 0.1, "low": None, "high": None, "tag": "word---sea"},
        ]
        assert told["moments"] == [
            {
                "start_s": 0.0,
                "end_s": 4.0,
                "genres": [{"genre": "jig", "probability": 1.0}],
                "tags": [{"tag": "word---sea", "share": 0.3}],
            }
        ]

    def test_and_says_by_which_model_and_of_what(self):
        told = answered(role="canary")
        assert told.model.model_dump() == {
            "name": "earmark",
            "version": "3",
            "run_id": "r",
            "kind": "network",
            "data_hash": "d",
            "role": "canary",
        }
        assert (told.prediction_id, told.content_hash, told.duration_s) == ("p", "c", 9.5)

    def test_a_model_that_does_not_know_how_sure_it_is_says_so(self):
        told = answered(Prediction((GenreProbability("reel", 1.0),), 4.0))
        assert (told.genre_set, told.coverage, told.appeal, told.unlike, told.abstains) == ([], None, None, None, False)
        assert (told.moments, told.facts.tempo, told.facts.key, told.facts.loudness) == ([], None, None, None)

    def test_a_moment_names_the_few_genres_and_tags_that_matter(self):
        genres = tuple(GenreProbability(str(number), 0.1) for number in range(10))
        tags = tuple(TagShare(0.1, tag=str(number)) for number in range(10))
        told = answered(Prediction(genres, 4.0, moments=(Moment(0.0, 4.0, genres, tags),)))
        assert len(told.genres) == 10
        assert [each.genre for each in told.moments[0].genres] == ["0", "1", "2"]
        assert len(told.moments[0].tags) == 5


class TestAppeal:
    def test_its_place_in_the_catalogue_is_a_range(self):
        told = appeal_answer(Share(0.5, 0.3, 0.8), Ranked(360))
        assert (told.rank, told.rank_low, told.rank_high, told.of) == (0.5, 0.3, 0.8, 360)

    def test_without_a_catalogue_there_is_none(self):
        told = appeal_answer(Share(0.5, 0.3, 0.8), None)
        assert (told.share, told.rank, told.rank_low, told.rank_high, told.of) == (0.5, None, None, None, None)

    def test_without_an_interval_it_has_no_range(self):
        told = appeal_answer(Share(0.5), Ranked())
        assert (told.rank, told.rank_low, told.rank_high) == (0.5, None, None)


class TestDocumentation:
    def test_the_example_is_an_answer(self):
        assert Answer.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE

    @pytest.fixture(scope="class")
    def document(self):
        return complete({"paths": {}, "components": {"schemas": {}}}, title="earmark", description="…")

    def test_every_reference_leads_somewhere(self, document):
        def references(content):
            if isinstance(content, dict):
                for name, value in content.items():
                    if name == "$ref":
                        yield value
                    else:
                        yield from references(value)
            elif isinstance(content, list):
                for value in content:
                    yield from references(value)

        found = set(references(document))
        assert found
        assert found <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def test_every_example_is_what_it_is_an_example_of(self, document):
        from jsonschema import Draft202012Validator

        checked = 0
        for item in document["paths"].values():
            for operation in item.values():
                for response in operation["responses"].values():
                    for media in response["content"].values():
                        examples = [each["value"] for each in media.get("examples", {}).values()]
                        examples += [media["example"]] if "example" in media else []
                        for example in examples:
                            schema = {**media["schema"], "components": document["components"]}
                            Draft202012Validator(schema).validate(example)
                            checked += 1
        assert checked > 50
