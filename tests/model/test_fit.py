import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model import training
from earmark.model.examples import Examples, ExcerptDataset, ExcerptSampler
from earmark.model.network import GenreNetwork
from earmark.model.training import Settings, fit
from earmark.params import Augmentation, Frontend, Network, Training

SETTINGS = Settings(
    Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0),
    Network(channels=4, blocks=2, dropout=0.3, excerpt_seconds=0.512, excerpts=2),
    Training(
        seed=3,
        epochs=5,
        batch_size=8,
        excerpts_per_epoch=2,
        learning_rate=0.01,
        weight_decay=0.01,
        label_smoothing=0.1,
        warmup_share=0.2,
        tag_share=0.5,
        averaging=0.8,
    ),
    Augmentation(mixup_alpha=0.2, frequency_mask=3, time_mask=6, gain_db=3.0, equaliser=0.1),
)


def examples(seed: int, tracks: int = 30) -> Examples:
    """Recordings of three kinds: each kind is loud in its own third of the bands."""
    rng = np.random.default_rng(seed)
    labels = np.arange(tracks) % 3
    log_mels = []
    for label in labels:
        values = rng.random((rng.integers(40, 90), 16))
        values[:, label * 5 : label * 5 + 5] += 0.7
        log_mels.append(values.astype(np.float16))
    return Examples(log_mels, labels.astype(np.int64))


def same(one: GenreNetwork, other: GenreNetwork) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def accuracy(network: GenreNetwork, held_out: Examples) -> float:
    with torch.inference_mode():
        heard = torch.stack([torch.from_numpy(x[:32].astype(np.float32).T) for x in held_out.log_mels])
        return float((network(heard).argmax(dim=1).numpy() == held_out.labels).mean())


@pytest.fixture(scope="module")
def trained():
    return fit(examples(1), examples(2), SETTINGS, classes=3)


class Killed(Exception):
    pass


class TestFit:
    def test_it_learns_what_can_be_learnt(self):
        longer = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, epochs=12))
        network, history = fit(examples(1), examples(2), longer, classes=3)
        assert accuracy(network, examples(7)) > 0.9
        assert history[-1].training_loss < history[0].training_loss

    def test_it_cannot_learn_labels_that_mean_nothing(self):
        blind = Examples(examples(1, tracks=36).log_mels, (np.arange(36) // 3 % 3).astype(np.int64))
        network, _ = fit(blind, None, SETTINGS, classes=3)
        assert accuracy(network, examples(7, tracks=90)) < 0.65

    def test_the_same_seed_gives_the_same_network_to_the_bit(self, trained):
        again, history = fit(examples(1), examples(2), SETTINGS, classes=3)
        assert same(again, trained[0]) and history == trained[1]

    def test_another_seed_gives_another_network(self, trained):
        other = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seed=4))
        assert not same(fit(examples(1), examples(2), other, classes=3)[0], trained[0])

    def test_watching_validation_changes_nothing(self, trained):
        network, history = fit(examples(1), None, SETTINGS, classes=3)
        assert same(network, trained[0])
        assert all(math.isnan(epoch.validation_loss) for epoch in history)

    def test_excerpts_are_augmented_before_they_go_to_a_gpu_and_only_for_training(self, monkeypatch):
        done = []
        as_ever, move = training.augment, training._Fit.transfer_batch_to_device
        monkeypatch.setattr(training, "augment", lambda *given: [as_ever(*given), done.append("augmented")][0])
        monkeypatch.setattr(
            training._Fit,
            "transfer_batch_to_device",
            lambda *given: [move(*given), done.append("moved")][0],
        )
        once = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, epochs=1))
        fit(examples(1, tracks=8), examples(2, tracks=3), once, classes=3)
        assert done == ["augmented", "moved"] * 2 + ["moved"]

    @pytest.mark.parametrize("after", [1, 3])
    def test_stopped_and_carried_on_it_ends_at_the_same_network_to_the_bit(self, trained, tmp_path: Path, after):
        def kill(epoch):
            if epoch.epoch == after + 1:
                raise Killed

        checkpoints = tmp_path / "checkpoints"
        with pytest.raises(Killed):
            fit(examples(1), examples(2), SETTINGS, classes=3, checkpoints=checkpoints, on_epoch=kill)
        told = []
        network, history = fit(
            examples(1), examples(2), SETTINGS, classes=3, checkpoints=checkpoints, on_epoch=told.append
        )
        assert [epoch.epoch for epoch in told] == list(range(after + 1, 6))
        assert same(network, trained[0]) and history == trained[1]
        assert not checkpoints.exists()


class TestExcerptSampler:
    def test_every_track_is_drawn_as_often_as_asked_in_batches_of_about_one_size(self):
        sampler = ExcerptSampler(13, per_epoch=2, batch_size=8, seed=0)
        batches = list(sampler)
        drawn = sorted(track for batch in batches for track, _ in batch)
        assert drawn == sorted(list(range(13)) * 2)
        assert len(batches) == len(sampler) and {len(batch) for batch in batches} == {6, 7}

    def test_each_epoch_has_an_order_of_its_own_that_can_be_repeated(self):
        def keys(epoch):
            return list(ExcerptSampler(9, per_epoch=1, batch_size=3, seed=5, epoch=lambda: epoch))

        assert keys(0) == keys(0) and keys(0) != keys(1)


class TestExcerptDataset:
    def test_places_reach_from_the_first_frame_to_the_last(self):
        ramp = np.arange(50, dtype=np.float16)[:, None].repeat(2, axis=1)
        dataset = ExcerptDataset(Examples([ramp], np.array([1])), frames=10)
        first, label = dataset[(0, 0.0)]
        last, _ = dataset[(0, 0.999999)]
        assert first.shape == (2, 10) and label == 1
        assert first[0, 0] == 0 and last[0, -1] == 49
