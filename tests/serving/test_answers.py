"""Everything that a prediction says reaches whoever asks the service."""

from earmark.model.prediction import GenreProbability, Prediction, Share, TagShare
from earmark.serving.answers import EXAMPLE, Answer, ModelAnswer, answer_of

MODEL = ModelAnswer(name="earmark", version="3", run_id="r")


def test_an_answer_holds_all_of_the_prediction_and_its_model():
    prediction = Prediction(
        genres=(GenreProbability("reel", 0.7), GenreProbability("jig", 0.3)),
        heard_seconds=8.0,
        tags=(TagShare(0.4, 0.2, 0.6, tag="feeling---calmness"), TagShare(0.1, tag="word---sea")),
        appeal=Share(0.5, 0.3, 0.8),
        genre_set=("reel", "jig"),
        coverage=0.9,
        abstains=True,
        unlike=0.02,
        warnings=("It is unlike anything in training.",),
    )
    told = answer_of(prediction, MODEL, duration_s=9.5).model_dump(mode="json")
    assert told.pop("model") == {"name": "earmark", "version": "3", "run_id": "r"}
    assert told.pop("duration_s") == 9.5
    said = prediction.to_dict()
    assert told == {**said, **{name: list(said[name]) for name in ("genres", "tags", "genre_set", "warnings")}}


def test_a_model_that_does_not_know_how_sure_it_is_says_so():
    told = answer_of(Prediction((GenreProbability("reel", 1.0),), 4.0), MODEL, duration_s=4.0)
    assert (told.genre_set, told.coverage, told.appeal, told.unlike, told.abstains) == ([], None, None, None, False)


def test_the_example_is_an_answer():
    assert Answer.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE
