"""What is told of a recording step by step: inputs, what the networks hear in excerpts, the answer, and when."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from predictor_tools import KINDS, TAGS, made_calibration, made_predictor

from earmark.audio.spectrogram import LogMel
from earmark.errors import ModelError
from earmark.model.answers import ExcerptAnswers, ExcerptShape, Inputs
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.network.excerpts import starts
from model_tools import COMMON, FRONTEND, noise

NETWORKS = ("network", "ensemble", "listeners")


@pytest.fixture(params=KINDS)
def predictor(request):
    return made_predictor(request.param)


class Counting:
    """An engine that says what the networks say, and how often it was asked for how many excerpts."""

    def __init__(self, network) -> None:
        self.network, self.asked = network, []

    def __call__(self, excerpts):
        self.asked.append(len(excerpts))
        return self.network.hear(excerpts)


class TestTell:
    def test_a_prediction_is_what_is_told_of_the_inputs(self, predictor):
        dims = predictor.raw([predictor.inputs(noise(2))]).embeddings.shape[1]
        for one in (predictor, replace(predictor, calibration=made_calibration(dims=dims))):
            told = one.tell(one.inputs(noise(3)))
            assert told.prediction == one.predict(noise(3))
            answers = one.answers([one.inputs(noise(3))])
            np.testing.assert_array_equal(told.embedding, answers.embeddings[0])
            (without,) = one.predictions(answers, [one.heard_seconds(noise(3))])
            assert replace(told.prediction, moments=()) == without

    def test_of_several_at_once_each_is_told_what_it_is_told_alone(self, predictor):
        asked = [predictor.inputs(noise(seconds, seed)) for seed, seconds in enumerate((2, 1.1, 3))]
        for told, inputs in zip(predictor.tell_all(asked), asked, strict=True):
            alone = predictor.tell(inputs)
            assert told.prediction == alone.prediction
            np.testing.assert_array_equal(told.embedding, alone.embedding)

    def test_without_its_length_nothing_is_told_and_it_is_said_why(self, predictor):
        with pytest.raises(ModelError, match="How long"):
            predictor.tell(replace(predictor.inputs(noise(2)), seconds=None))

    def test_none_at_all_are_told_nothing_about(self, predictor):
        assert predictor.tell_all([]) == []


class TestNetworkOfAPredictor:
    def test_a_network_is_its_own_and_a_blends_is_its_parts(self):
        network, blend = made_predictor("network"), made_predictor("blend")
        assert network.network is network and blend.network is blend.parts["network"]
        assert made_predictor("forest").network is None

    def test_of_a_blend_of_two_networks_there_is_none_as_they_say_different_things(self):
        parts = {"one": made_predictor("network"), "other": made_predictor("ensemble")}
        weights = Weights(np.ones(2), np.full((2, len(TAGS)), 0.5))
        blend = BlendPredictor(**COMMON, tags=TAGS, parts=parts, weights=weights)
        assert blend.network is None and blend.predict(noise(2)).moments == ()

    def test_within_a_blend_of_blends_it_is_found(self):
        inner = made_predictor("blend")
        outer = replace(inner, parts={"inner": inner, "forest": inner.parts["forest"]})
        assert outer.network is inner.parts["network"]


class TestHear:
    @pytest.mark.parametrize("kind", NETWORKS)
    def test_it_says_what_each_network_says_of_each_excerpt(self, kind):
        network = made_predictor(kind)
        excerpts = network.excerpts(network.inputs(noise(3)).log_mel)
        assert excerpts.shape == (3, 16, 32) and excerpts.dtype == np.float32
        told = network.hear(excerpts)
        assert told.shape == network.shape
        with torch.inference_mode():
            for place, one in enumerate(network.networks):
                logits, tags, places = one(torch.from_numpy(excerpts))
                np.testing.assert_array_equal(told.logits[place], logits.numpy())
                np.testing.assert_array_equal(told.tags[place], tags.numpy())
                assert place or np.array_equal(told.places, places.numpy())

    def test_what_is_told_already_is_not_computed_again(self):
        for kind in (*NETWORKS, "blend"):
            predictor = made_predictor(kind)
            inputs = predictor.inputs(noise(3))
            told = predictor.network.hear(predictor.network.excerpts(inputs.log_mel))
            ready = replace(inputs, told=told, log_mel=None)
            for part in predictor.network.networks:
                part.forward = None  # whoever asks it fails
            expected = made_predictor(kind)
            assert predictor.tell(ready).prediction == expected.predict(noise(3))
            np.testing.assert_array_equal(predictor.raw([ready]).genres, expected.raw([inputs]).genres)

    def test_told_and_untold_recordings_keep_their_order(self):
        network = made_predictor("network")
        asked = [network.inputs(noise(2, seed)) for seed in range(4)]
        expected = network.raw(asked)
        asked[1], asked[2] = network.asked(asked[1:3])
        np.testing.assert_array_equal(network.raw(asked).genres, expected.genres)

    def test_an_engine_is_asked_for_the_excerpts_of_all_recordings_together(self):
        network = made_predictor("ensemble")
        engine = Counting(network)
        asked = [network.inputs(noise(2, seed)) for seed in range(3)]
        asked[1] = Inputs(log_mel=asked[1].log_mel[:32])  # as long as one excerpt
        told = replace(network, engine=engine).raw(asked)
        assert engine.asked == [3 + 1 + 3]
        expected = network.raw(asked)
        np.testing.assert_allclose(told.genres, expected.genres, rtol=1e-5)
        np.testing.assert_allclose(told.embeddings, expected.embeddings, rtol=1e-5)

    def test_of_many_it_gets_some_at_a_time(self, monkeypatch):
        monkeypatch.setattr("earmark.model.network.predictor._AT_ONCE", 6)
        network = made_predictor("network")
        engine = Counting(network)
        asked = [network.inputs(noise(2, seed)) for seed in range(5)]
        told = replace(network, engine=engine).raw(asked)
        assert engine.asked == [6, 6, 3]
        np.testing.assert_allclose(told.genres, network.raw(asked).genres, rtol=1e-5)

    def test_the_networks_themselves_hear_one_recording_at_a_time(self, monkeypatch):
        # so that what they say does not depend, in its last bit, on what else is asked
        asked = []
        network = made_predictor("network")
        forward = network.networks[0].forward
        monkeypatch.setattr(network.networks[0], "forward", lambda x: [forward(x), asked.append(len(x))][0])
        inputs = network.inputs(noise(2))
        network.raw([inputs, Inputs(log_mel=inputs.log_mel[:32]), inputs])
        assert asked == [3, 1, 3]


class TestPacked:
    @pytest.mark.parametrize("shape", [(1, 3, 0, 4), (3, 4, 2, 5), (2, 1, 1, 1)])
    def test_rows_hold_all_that_is_said_of_an_excerpt(self, shape):
        networks, labels, tags, dims = shape
        rng = np.random.default_rng(0)
        made = (rng.random(size) for size in ((networks, 7, labels), (networks, 7, tags), (7, dims)))
        told = ExcerptAnswers(*(part.astype(np.float32) for part in made))
        rows = told.packed()
        assert rows.shape == (7, networks * (labels + tags) + dims) and told.shape == ExcerptShape(*shape)
        back = ExcerptAnswers.unpack(rows[2:5], told.shape)
        for part in ("logits", "tags", "places"):
            np.testing.assert_array_equal(getattr(back, part), getattr(told[2:5], part))
        np.testing.assert_array_equal(rows[4, -dims:], told.places[4])

    def test_rows_of_another_width_are_refused(self):
        with pytest.raises(ValueError, match="9 numbers"):
            ExcerptAnswers.unpack(np.zeros((2, 9), dtype=np.float32), ExcerptShape(1, 3, 2, 5))

    def test_recordings_that_shared_a_batch_are_told_what_they_are_told_alone(self):
        blend = made_predictor("blend")
        network = blend.network
        waveforms = [noise(seconds, seed) for seed, seconds in enumerate((3, 1.1, 1.5))]
        asked = [blend.inputs(waveform) for waveform in waveforms]
        excerpts = [network.excerpts(each.log_mel) for each in asked]
        rows = network.hear(np.concatenate(excerpts)).packed()
        each_own = np.split(rows, np.cumsum([len(each) for each in excerpts])[:-1])
        for inputs, waveform, own in zip(asked, waveforms, each_own, strict=True):
            told = blend.tell(replace(inputs, told=ExcerptAnswers.unpack(own, network.shape))).prediction
            alone = blend.predict(waveform)
            assert told.genre == alone.genre and told.heard_seconds == alone.heard_seconds
            found, expected = ({each.genre: each.probability for each in one.genres} for one in (told, alone))
            assert found == pytest.approx(expected, rel=1e-5)


class TestMoments:
    @pytest.mark.parametrize("kind", [*NETWORKS, "blend"])
    def test_each_is_what_the_networks_say_of_one_excerpt(self, kind):
        predictor = made_predictor(kind)
        moments = predictor.predict(noise(3)).moments
        network = predictor.network
        log_mel = predictor.inputs(noise(3)).log_mel.astype(np.float32)
        firsts = [0, round((len(log_mel) - 32) / 2), len(log_mel) - 32]
        assert len(moments) == 3
        for moment, first in zip(moments, firsts, strict=True):
            excerpt = torch.from_numpy(log_mel[first : first + 32].T[None].copy())
            with torch.inference_mode():
                told = [one(excerpt) for one in network.networks]
            each = np.stack([logits.softmax(dim=1).numpy()[0] for logits, _, _ in told]).astype(np.float64)
            genres = np.prod(each, axis=0) ** (1 / len(each))
            genres /= genres.sum()
            assert [one.genre for one in moment.genres] == [COMMON["labels"][i] for i in np.argsort(-genres)]
            found = [one.probability for one in moment.genres]
            np.testing.assert_allclose(found, np.sort(genres)[::-1], rtol=1e-4)
            shares = np.stack([tags.sigmoid().numpy()[0] for _, tags, _ in told]).mean(axis=0)
            assert [one.tag for one in moment.tags] == [TAGS[i] for i in np.argsort(-shares)]
            np.testing.assert_allclose([one.share for one in moment.tags], np.sort(shares)[::-1], rtol=1e-4)
            assert all((one.low, one.high) == (None, None) for one in moment.tags)
            assert moment.start_s == first * 128 / 8_000
            assert moment.end_s == pytest.approx(min(moment.start_s + 0.512, 3.0))

    def test_calibration_does_not_change_them(self):
        network = made_predictor("network")
        sure = replace(network, calibration=made_calibration(dims=network.shape.dims))
        assert sure.predict(noise(3)).moments == network.predict(noise(3)).moments

    def test_the_whole_is_their_geometric_mean_where_there_is_one_network(self):
        prediction = made_predictor("network").predict(noise(3))
        logs = sum(
            np.log([{one.genre: one.probability for one in moment.genres}[label] for label in COMMON["labels"]])
            for moment in prediction.moments
        )
        mean = np.exp(logs / 3)
        found = {one.genre: one.probability for one in prediction.genres}
        np.testing.assert_allclose([found[label] for label in COMMON["labels"]], mean / mean.sum(), rtol=1e-6)

    def test_a_recording_shorter_than_an_excerpt_is_one_moment_that_ends_with_it(self):
        network = made_predictor("network")
        long = replace(network, how=replace(network.how, excerpt_seconds=4.096))
        (moment,) = long.predict(noise(1.5)).moments
        assert (moment.start_s, moment.end_s) == (0.0, 1.5)

    def test_what_has_no_network_has_none(self):
        assert made_predictor("forest").predict(noise(2)).moments == ()

    def test_they_need_no_log_mel_because_its_length_follows_from_the_recordings(self):
        network, hear = made_predictor("network"), LogMel(FRONTEND)
        for samples in (8_000, 8_063, 8_064, 8_191, 8_192, 8_193, 20_001, 131_071):
            waveform = noise(samples / 8_000)
            waveform = torch.nn.functional.pad(waveform, (0, samples - len(waveform)))
            frames = hear(waveform).shape[-1]
            moments = network.predict(waveform).moments
            expected = [start * 128 / 8_000 for start in starts(frames, frames=32, count=3)]
            assert [moment.start_s for moment in moments] == expected

    def test_they_are_made_of_what_was_told(self):
        with pytest.raises(ModelError, match="Moments follow"):
            made_predictor("network").moments(Inputs(seconds=3.0))

    def test_what_is_plain_json_holds_them(self):
        told = made_predictor("network").predict(noise(3)).to_dict()["moments"]
        assert len(told) == 3 and set(told[0]) == {"start_s", "end_s", "genres", "tags"}
