"""Fitting: what can be learnt is, the same seed gives the same network, and a killed training is carried on."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from predictor_tools import made_predictor

from earmark.errors import ModelError, ParamsError
from earmark.model.network import learning
from earmark.model.network import training as module
from earmark.model.network.examples import Examples
from earmark.model.network.network import MusicNetwork
from earmark.model.network.training import fit, precision_of
from earmark.params import Augmentation
from model_tools import SETTINGS, accuracy, batch_of, same, songs, training

TUNED = {
    "plain": training(averaging=0.0),
    "averaged": SETTINGS,
    "patient": training(patience=2, learning_rate=0.03),
    "patient without averaging": training(patience=2, averaging=0.0, learning_rate=0.03),
    "bf16": training(precision="bf16"),
    "all at once": dataclasses.replace(
        training(balance=0.5, penalty=1e-4, patience=4),
        network=dataclasses.replace(SETTINGS.network, pooling="attention", embedding="listeners"),
        augmentation=dataclasses.replace(SETTINGS.augmentation, noise_share=0.5, tempo_share=0.1, segment_mixing=0.3),
    ),
}


def state(network: MusicNetwork) -> dict[str, torch.Tensor]:
    return network.state_dict()


def weights(network: MusicNetwork, *, of_more_than_one_dimension: bool) -> float:
    """The norm of the trunk's and the genre's weights, or that of their norms and biases."""
    chosen = [p for p in network.parameters() if (p.ndim > 1) == of_more_than_one_dimension]
    return float(torch.sqrt(sum(p.detach().square().sum() for p in chosen)))


@pytest.fixture(scope="module")
def trained():
    return fit(songs(1), songs(2), SETTINGS)


class Killed(Exception):
    pass


def kill_at(last: int):
    def kill(epoch):
        if epoch.epoch == last:
            raise Killed

    return kill


class TestFit:
    def test_it_learns_what_can_be_learnt(self):
        network, history = fit(songs(1, 48), songs(2), training(epochs=14))
        assert accuracy(network, songs(7, 60)) > 0.9
        assert history[-1].training_loss < history[0].training_loss
        assert history[-1].validation_accuracy > 0.9

    def test_it_cannot_learn_labels_that_mean_nothing(self):
        told = songs(1, tracks=36)
        blind = Examples.of(told.log_mels, (np.arange(36) // 3 % 3).astype(np.int64), classes=3)
        network, _ = fit(blind, None, SETTINGS)
        assert accuracy(network, songs(7, tracks=90)) < 0.65

    def test_the_same_seed_gives_the_same_network_to_the_bit(self, trained):
        again, history = fit(songs(1), songs(2), SETTINGS)
        assert same(state(again), state(trained[0])) and history == trained[1]

    def test_another_seed_gives_another_network(self, trained):
        assert not same(state(fit(songs(1), songs(2), training(seed=4))[0]), state(trained[0]))

    def test_watching_validation_changes_nothing(self, trained):
        network, history = fit(songs(1), None, SETTINGS)
        assert same(state(network), state(trained[0]))
        assert all(math.isnan(epoch.validation_loss) for epoch in history)

    def test_excerpts_are_augmented_where_the_network_is_and_only_for_training(self, monkeypatch):
        done = []
        as_ever, move = learning.augment, learning.Learning.transfer_batch_to_device
        monkeypatch.setattr(learning, "augment", lambda *given: [as_ever(*given), done.append("augmented")][0])
        monkeypatch.setattr(
            learning.Learning,
            "transfer_batch_to_device",
            lambda *given: [move(*given), done.append("moved")][0],
        )
        fit(songs(1, tracks=8), songs(2, tracks=3), training(epochs=1))
        assert done == ["moved", "augmented"] * 2 + ["moved"]

    def test_it_learns_from_what_augmentation_makes_of_them(self):
        def learnt(**how) -> MusicNetwork:
            settings = dataclasses.replace(training(epochs=1), augmentation=Augmentation(**how))
            return fit(songs(1, tracks=12), None, settings)[0]

        assert not same(state(learnt()), state(learnt(time_mask=6)))

    @pytest.mark.parametrize("how", TUNED)
    def test_stopped_and_carried_on_it_ends_at_the_same_network_to_the_bit(self, tmp_path: Path, how):
        told = songs(1, tags=True, places=True), songs(2, tags=True, places=True)
        whole, whole_history = fit(*told, TUNED[how])
        checkpoints = tmp_path / "checkpoints"
        with pytest.raises(Killed):
            fit(*told, TUNED[how], checkpoints=checkpoints, on_epoch=kill_at(3))
        assert (checkpoints / "last.ckpt").is_file()
        seen = []
        network, history = fit(*told, TUNED[how], checkpoints=checkpoints, on_epoch=seen.append)
        assert [epoch.epoch for epoch in seen] == [epoch.epoch for epoch in whole_history][2:]
        assert same(state(network), state(whole)) and history == whole_history
        assert not checkpoints.exists()

    @pytest.mark.parametrize("how", ["averaged", "patient"])
    def test_killed_after_its_last_epoch_it_has_nothing_left_to_do(self, tmp_path, monkeypatch, how):
        settings, checkpoints = TUNED[how], tmp_path / "checkpoints"
        if how == "patient":  # it stops early
            settings = training(settings, epochs=30, learning_rate=0.2)
        whole, whole_history = fit(songs(1), songs(2), settings)

        def killed(*_, **__):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(module.shutil, "rmtree", killed)
            with pytest.raises(Killed):
                fit(songs(1), songs(2), settings, checkpoints=checkpoints)
        seen = []
        network, history = fit(songs(1), songs(2), settings, checkpoints=checkpoints, on_epoch=seen.append)
        assert not seen and history == whole_history
        assert same(state(network), state(whole))


class TestPatience:
    SETTINGS = training(epochs=30, patience=2, learning_rate=0.2)

    def test_it_stops_when_the_loss_was_not_lower_for_so_long(self):
        _, history = fit(songs(1), songs(2), self.SETTINGS)
        losses = [epoch.validation_loss for epoch in history]
        assert len(losses) < 30
        assert len(losses) - 1 - int(np.argmin(losses)) == 2

    @pytest.mark.parametrize("averaging", [0.0, 0.8])
    def test_the_best_epochs_weights_are_those_that_are_returned(self, averaging):
        network, history = fit(songs(1), songs(2), training(self.SETTINGS, averaging=averaging))
        best = min(history, key=lambda epoch: epoch.validation_loss)
        assert best is not history[-1]
        middles = torch.stack(
            [torch.from_numpy(x[int(0.5 * (len(x) - 32 + 1)) :][:32].astype(np.float32).T) for x in songs(2).log_mels]
        )
        with torch.inference_mode():
            loss = torch.nn.functional.cross_entropy(network(middles)[0], torch.from_numpy(songs(2).labels))
        assert float(loss) == pytest.approx(best.validation_loss, rel=1e-4)

    def test_without_validation_it_is_told_that_there_is_nothing_to_stop_by(self):
        with pytest.raises(ParamsError, match=r"patience is 2.*validation_share above 0"):
            fit(songs(1), None, self.SETTINGS)


class TestWhatHoldsWeightsBack:
    def test_a_penalty_shrinks_weights_and_leaves_norms_and_biases_alone(self):
        plain, held = (fit(songs(1), None, training(penalty=penalty))[0] for penalty in (0.0, 0.05))
        shrunk = weights(held, of_more_than_one_dimension=True) / weights(plain, of_more_than_one_dimension=True)
        kept = weights(held, of_more_than_one_dimension=False) / weights(plain, of_more_than_one_dimension=False)
        assert shrunk < 0.75
        assert 0.9 < kept < 1.1

    def test_its_power_makes_a_difference(self):
        lasso, ridge = (fit(songs(1), None, training(penalty=0.02, penalty_p=p))[0] for p in (1, 2))
        tiny = [
            float(np.mean([float((p.detach().abs() < 0.01).float().mean()) for p in each.parameters() if p.ndim > 1]))
            for each in (lasso, ridge)
        ]
        assert tiny[0] > 2 * tiny[1]  # the lasso's weights are mostly next to nothing

    def test_smoothed_labels_make_answers_less_sure(self):
        def surest(smoothing: float) -> float:
            network, _ = fit(songs(1, 48), None, training(epochs=14, label_smoothing=smoothing))
            with torch.inference_mode():
                return float(network(batch_of(songs(7)))[0].softmax(dim=1).amax(dim=1).mean())

        assert surest(0.4) < surest(0.0) - 0.1

    def test_a_rare_genre_is_answered_more_often_where_genres_are_balanced(self):
        told = songs(1, tracks=90)
        rare = [track for track in range(90) if told.labels[track] != 0 or track < 9]  # 3 of genre 0, 60 of the others

        def share(balance: float) -> float:
            network, _ = fit(told[rare], None, training(epochs=3, balance=balance))
            with torch.inference_mode():
                return float(network(batch_of(songs(7)))[0].softmax(dim=1)[:, 0].mean())

        assert share(1.0) > share(0.0) + 0.05


class TestStartFrom:
    # Hardly a step away from where it starts.
    STILL = training(epochs=1, learning_rate=1e-9, weight_decay=0.0, averaging=0.0)

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        made_predictor("network").save(tmp_path / "begun")
        return tmp_path / "begun"

    def test_the_trunk_is_that_of_the_weights_that_are_named_and_the_heads_are_new(self, folder):
        network, _ = fit(songs(1), None, training(self.STILL, start_from=str(folder)))
        begun, new = made_predictor("network").networks[0], fit(songs(1), None, self.STILL)[0]
        torch.testing.assert_close(network.stem[0].weight, begun.stem[0].weight)
        torch.testing.assert_close(network.genre.weight, new.genre.weight, atol=1e-6, rtol=0)

    def test_what_was_begun_there_and_killed_is_carried_on_and_not_begun_again(self, folder, tmp_path):
        settings = training(start_from=str(folder))
        whole, _ = fit(songs(1), None, settings)
        with pytest.raises(Killed):
            fit(songs(1), None, settings, checkpoints=tmp_path / "kept", on_epoch=kill_at(3))
        assert same(state(fit(songs(1), None, settings, checkpoints=tmp_path / "kept")[0]), state(whole))

    def test_weights_that_heard_by_another_front_end_are_refused(self, folder):
        other = dataclasses.replace(SETTINGS.frontend, f_min_hz=60.0)
        settings = dataclasses.replace(training(start_from=str(folder)), frontend=other)
        with pytest.raises(ModelError, match="front-end"):
            fit(songs(1), None, settings)


class TestPrecision:
    def test_half_the_bits_give_about_the_same(self, trained):
        network, history = fit(songs(1), songs(2), training(precision="bf16"))
        assert history[-1].training_loss == pytest.approx(trained[1][-1].training_loss, abs=0.05)
        assert all(value.dtype != torch.bfloat16 for value in state(network).values())

    def test_auto_is_one_of_those_that_can_be_named(self):
        auto, _ = fit(songs(1), None, training(precision="auto", epochs=2))
        named = {
            "32-true": "32",
            "bf16-mixed": "bf16",
            "16-mixed": "16",
        }[precision_of("auto")]
        assert same(state(auto), state(fit(songs(1), None, training(precision=named, epochs=2))[0]))

    @pytest.mark.parametrize(
        ("gpu", "gpu_bf16", "cpu_bf16", "chosen"),
        [
            (True, True, False, "bf16-mixed"),
            (True, False, True, "16-mixed"),
            (False, False, True, "bf16-mixed"),
            (False, False, False, "32-true"),
        ],
    )
    def test_auto_is_bf16_where_the_hardware_has_it(self, monkeypatch, gpu, gpu_bf16, cpu_bf16, chosen):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: gpu_bf16)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)
        assert precision_of("auto") == chosen


class TestCompile:
    @pytest.mark.parametrize("wanted", [True, False])
    def test_the_network_is_compiled_where_params_say_so(self, monkeypatch, wanted):
        compiled = []
        monkeypatch.setattr(MusicNetwork, "compile", lambda network: compiled.append(network))
        network, _ = fit(songs(1, tracks=8), None, training(epochs=1, compile=wanted))
        assert compiled == ([network] if wanted else [])
