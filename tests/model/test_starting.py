import dataclasses

import pytest
import torch

from earmark.errors import ModelError
from earmark.model.encoders.musicnn import Musicnn, MusicnnEncoder
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.starting import Start, check_unheard, read_start, start_at, start_from
from earmark.params import Frontend, Network
from scratch import CHECKOUT

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
HOW = Network("tiny", pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2)


def network(seed: int, how: Network = HOW, *, mels: int = 16, classes: int = 2, tags: int = 1) -> MusicNetwork:
    torch.manual_seed(seed)
    made = MusicNetwork(how, mels=mels, classes=classes, tags=tags, places=3)
    made.level.running_mean.fill_(float(seed))
    return made.eval()


def heard(of: MusicNetwork) -> torch.Tensor:
    with torch.inference_mode():
        return of.heard(torch.rand((2, 16, 32), generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def learnt() -> MusicNetwork:
    return network(1)


@pytest.fixture
def predictor(learnt) -> NetworkPredictor:
    return NetworkPredictor(
        ("calm", "loud"), FRONTEND, frozenset({"x"}), "d", (learnt, network(7)), HOW, tags=("happy",)
    )


@pytest.fixture(params=["predictor", "encoder", "weights"])
def folder(request, predictor, learnt, tmp_path):
    if request.param == "predictor":
        predictor.save(tmp_path)
    elif request.param == "encoder":
        NetworkEncoder.of(predictor).save(tmp_path)
    else:
        torch.save(learnt.state_dict(), tmp_path / "learnt.pt")
        return tmp_path / "learnt.pt"
    return tmp_path


class TestStartFrom:
    def test_it_hears_what_the_other_one_hears(self, folder, learnt):
        ours = network(2, classes=5)
        left = start_from(ours, folder, labels=list("abcde"), tags=["sad"], frontend=FRONTEND)
        torch.testing.assert_close(heard(ours), heard(learnt), rtol=0, atol=0)
        assert left == [f"{head}.{part}" for head in ("genre", "tags", "place") for part in ("weight", "bias")]

    def test_new_heads_stay_as_they_were(self, folder):
        ours, before = network(2), network(2)
        start_from(ours, folder, labels=["x", "y"], tags=["sad"])
        assert torch.equal(ours.genre.weight, before.genre.weight)

    def test_a_head_with_the_same_labels_is_taken_over(self, predictor, learnt, tmp_path):
        predictor.save(tmp_path)
        ours = network(2)
        left = start_from(ours, tmp_path, labels=("calm", "loud"), tags=("happy",))
        assert torch.equal(ours.genre.weight, learnt.genre.weight) and torch.equal(ours.tags.bias, learnt.tags.bias)
        assert left == ["place.weight", "place.bias"]

    def test_the_same_labels_in_another_order_are_others(self, predictor, tmp_path):
        predictor.save(tmp_path)
        assert "genre.weight" in start_from(network(2), tmp_path, labels=("loud", "calm"))

    def test_another_size_is_refused_and_nothing_is_changed(self, folder):
        ours = network(2, dataclasses.replace(HOW, size="small"))
        before = {name: value.clone() for name, value in ours.state_dict().items()}
        with pytest.raises(
            ModelError, match=r"stem\.0\.weight \(16, 1, 5, 5\) here, \(4, 1, 5, 5\) there.*network\.size"
        ):
            start_from(ours, folder)
        assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())

    def test_other_mels_are_refused(self, folder):
        with pytest.raises(ModelError, match=r"level\.weight \(32,\) here, \(16,\) there"):
            start_from(network(2, mels=32), folder)

    def test_another_pooling_is_refused(self, folder):
        with pytest.raises(ModelError, match=r"pooling\..* there"):
            start_from(network(2, dataclasses.replace(HOW, pooling="attention")), folder)

    def test_another_front_end_is_refused_by_what_differs(self, predictor, tmp_path):
        predictor.save(tmp_path)
        with pytest.raises(ModelError, match="hop 64 here, 128 there"):
            start_from(network(2), tmp_path, frontend=dataclasses.replace(FRONTEND, hop=64))


class TestReadStart:
    def test_it_knows_what_those_weights_were_trained_on(self, predictor, tmp_path):
        predictor.save(tmp_path)
        assert read_start(tmp_path).trained_on == {"x"}

    def test_of_a_file_too_where_a_model_lies_around_it(self, predictor, tmp_path):
        predictor.save(tmp_path)
        start = read_start(tmp_path / "network.pt")
        assert start.trained_on == {"x"} and start.labelled and start.described and start.frontend == FRONTEND

    @pytest.mark.parametrize("labelled", [True, False])
    def test_and_where_an_encoder_does(self, predictor, tmp_path, labelled):
        dataclasses.replace(NetworkEncoder.of(predictor), labelled=labelled).save(tmp_path)
        for place in (tmp_path, tmp_path / "weights.pt"):
            start = read_start(place)
            assert start.trained_on == {"x"} and start.labelled == labelled and start.described

    def test_of_a_file_by_itself_nothing_is_known(self, learnt, tmp_path):
        torch.save(learnt.state_dict(), tmp_path / "learnt.pt")
        start = read_start(tmp_path / "learnt.pt")
        assert not start.trained_on and not start.described

    def test_what_stands_for_no_weights_is_no_start(self, predictor, tmp_path):
        predictor.save(tmp_path / "weights" / "x")
        assert start_at(tmp_path, "") is None and start_at(CHECKOUT, "weights/none") is None
        assert start_at(tmp_path, "weights/x").trained_on == {"x"}

    def test_musicnn_is_no_start_for_this_network(self, tmp_path):
        MusicnnEncoder(frozenset(), Musicnn().eval()).save(tmp_path)
        with pytest.raises(ModelError, match=r"'musicnn'.*machine\.encoder"):
            read_start(tmp_path)

    def test_an_empty_folder_and_rubbish_are_refused(self, tmp_path):
        with pytest.raises(ModelError, match="no encoder"):
            read_start(tmp_path)
        (tmp_path / "weights.pt").write_bytes(b"rubbish")
        with pytest.raises(ModelError, match="cannot be read as weights"):
            read_start(tmp_path / "weights.pt")
        torch.save(3, tmp_path / "three.pt")
        with pytest.raises(ModelError, match="holds int"):
            read_start(tmp_path / "three.pt")


class TestCheckUnheard:
    """Weights that were fitted to the songs x and y."""

    @pytest.fixture
    def start(self, learnt):
        return Start(learnt.state_dict(), trained_on=frozenset("xy"))

    def test_songs_of_another_catalogue_are_no_matter(self, start):
        check_unheard(start, tested=frozenset("ab"), held=frozenset("cd"))

    @pytest.mark.parametrize("labelled", [True, False])
    def test_songs_for_testing_may_not_be_known_even_without_their_labels(self, start, labelled):
        start = dataclasses.replace(start, labelled=labelled)
        with pytest.raises(ModelError, match="1 of the songs that are held out here, 1 of them for testing"):
            check_unheard(start, tested=frozenset("xa"), held=frozenset("b"))

    def test_songs_for_calibration_may_not_be_known_by_their_labels(self, start):
        with pytest.raises(ModelError, match="2 of the songs that are held out here, 0 of them for testing"):
            check_unheard(start, tested=frozenset("ab"), held=frozenset("xyz"))
        listened = dataclasses.replace(start, labelled=False)
        check_unheard(listened, tested=frozenset("ab"), held=frozenset("xyz"))
