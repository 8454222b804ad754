"""Pretraining: excerpts of one recording come together without labels, reproducibly, and killed ones are carried on."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.audio.features import LogMelArray
from earmark.errors import CatalogueError
from earmark.model.network.contrast import PairSampler, nt_xent, pretext
from earmark.model.network.excerpts import excerpt
from earmark.model.network.network import MusicNetwork
from earmark.model.network.pretraining import pretrain, save_trunk
from earmark.model.network.starting import start_from
from earmark.params import Pretraining
from model_tools import FRAMES, FRONTEND, NETWORK, SETTINGS, same, training

HOW = Pretraining(seed=5, epochs=3, batch_size=8, learning_rate=0.01, temperature=0.2, projection=8, strength=0.5)
LONGER = replace(HOW, epochs=40, batch_size=32, temperature=0.1, strength=0.2)


def recordings(seed: int, count: int) -> list[LogMelArray]:
    """Each with a timbre of its own, beneath a swell and swings in level that are much louder; no labels."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        frames = int(rng.integers(3 * FRAMES, 5 * FRAMES))
        swell = np.sin(np.arange(frames) / rng.uniform(2, 9)) + rng.normal(0, 1.5, frames // 8 + 1).repeat(8)[:frames]
        sound = 6 + rng.normal(0, 0.8, 16) + swell[:, None] + rng.normal(0, 0.5, (frames, 16))
        made.append(sound.clip(0).astype(np.float16))
    return made


def found_again(network: MusicNetwork, log_mels: list[LogMelArray]) -> float:
    """Share of recordings whose end is nearest, by cosine, to their own beginning."""

    def places(start: int) -> torch.Tensor:
        cut = [excerpt(x, start if start >= 0 else len(x) - FRAMES, frames=FRAMES).astype(np.float32) for x in log_mels]
        with torch.inference_mode():
            heard = network.heard(torch.from_numpy(np.stack(cut)).transpose(1, 2))
        return torch.nn.functional.normalize(heard - heard.mean(dim=0), dim=1)

    nearest = (places(0) @ places(-1).T).argmax(dim=1)
    return float((nearest == torch.arange(len(log_mels))).float().mean())


class Killed(Exception):
    pass


class TestPretrain:
    def test_other_recordings_are_found_again_by_another_excerpt_better_than_by_chance_or_an_untrained_trunk(self):
        told = []
        network = pretrain(recordings(1, 96), SETTINGS, LONGER, on_epoch=told.append)
        others = recordings(2, 50)
        torch.manual_seed(0)
        untrained = [found_again(MusicNetwork(NETWORK, mels=16, classes=1).eval(), others) for _ in range(5)]
        assert found_again(network, others) > max(0.4, *(chance + 0.3 for chance in untrained))  # chance: 1 in 50
        assert told[-1].loss < told[0].loss and told[-1].matched > told[0].matched + 0.2

    def test_the_same_seed_gives_the_same_bits_and_another_one_others(self):
        made = [pretrain(recordings(1, 12), SETTINGS, how).state_dict() for how in (HOW, HOW, replace(HOW, seed=6))]
        assert same(made[0], made[1]) and not same(made[0], made[2])

    @pytest.mark.parametrize("precision", ["32", "bf16"])
    def test_killed_and_carried_on_it_ends_at_the_same_bits(self, tmp_path: Path, precision):
        settings, checkpoints = training(precision=precision), tmp_path / "checkpoints"
        whole = pretrain(recordings(1, 12), settings, HOW).state_dict()

        def kill(passed):
            if passed.epoch == 2:
                raise Killed

        with pytest.raises(Killed):
            pretrain(recordings(1, 12), settings, HOW, checkpoints=checkpoints, on_epoch=kill)
        assert (checkpoints / "last.ckpt").is_file()
        seen = []
        carried = pretrain(recordings(1, 12), settings, HOW, checkpoints=checkpoints, on_epoch=seen.append)
        assert [passed.epoch for passed in seen] == [2, 3]
        assert same(carried.state_dict(), whole)
        assert not checkpoints.exists()

    def test_one_recording_alone_cannot_be_told_from_any(self):
        with pytest.raises(CatalogueError, match=r"1 recordings.*2 or more"):
            pretrain(recordings(1, 1), SETTINGS, HOW)

    def test_a_recording_shorter_than_an_excerpt_is_heard_too(self):
        short = [x[: FRAMES // 3] for x in recordings(1, 4)]
        assert pretrain(short, SETTINGS, replace(HOW, epochs=1)).level.running_mean.isfinite().all()


class TestSaveTrunk:
    def test_training_starts_from_it_with_heads_of_its_own(self, tmp_path):
        pretrained = pretrain(recordings(1, 8), SETTINGS, HOW)
        network = MusicNetwork(NETWORK, mels=16, classes=5, tags=2)
        left = start_from(network, save_trunk(pretrained, tmp_path / "trunk.pt"))
        assert {name.split(".")[0] for name in left} == {"genre", "tags"}
        excerpts = torch.rand(2, 16, FRAMES)
        with torch.inference_mode():
            torch.testing.assert_close(network.eval().heard(excerpts), pretrained.heard(excerpts))

    def test_equal_weights_are_equal_bytes_under_any_name(self, tmp_path):
        network = MusicNetwork(NETWORK, mels=16, classes=1)
        one, other = (save_trunk(network, tmp_path / name).read_bytes() for name in ("a.pt", "b.pt"))
        assert one == other


class TestNtXent:
    def test_it_is_the_cross_entropy_of_finding_the_partner_among_all_others(self):
        random = np.random.default_rng(1)
        rows = random.normal(size=(6, 4))
        total = 0.0
        for i in range(6):
            cosines = [float(rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])) for j in range(6)]
            others = sum(math.exp(cosines[j] / 0.3) for j in range(6) if j != i)
            total -= math.log(math.exp(cosines[(i + 3) % 6] / 0.3) / others)
        loss, _ = nt_xent(torch.from_numpy(rows), 0.3)
        assert loss.item() == pytest.approx(total / 6, rel=1e-5)

    def test_pairs_in_one_place_apart_from_all_others_are_matched_at_nearly_no_loss(self):
        loss, matched = nt_xent(torch.eye(3).repeat(2, 1), 0.05)
        assert loss.item() < 1e-6 and matched.all()

    def test_a_partner_further_away_than_another_is_not_matched(self):
        _, matched = nt_xent(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]]), 0.1)
        assert matched.tolist() == [False, False, False, False]


class TestPairSampler:
    def test_an_epoch_hears_each_recording_once_in_two_places_apart(self):
        keys = list(PairSampler(10, batch_size=4, seed=1))
        firsts = [batch[: len(batch) // 2] for batch in keys]
        seconds = [batch[len(batch) // 2 :] for batch in keys]
        assert sorted(track for batch in firsts for track, _ in batch) == list(range(10))
        for first, second in zip(firsts, seconds, strict=True):
            for (track, here), (partner, there) in zip(first, second, strict=True):
                assert track == partner
                assert 0.2499 < abs(here - there) < 0.7501
                assert 0 <= here < 1 and 0 <= there < 1

    @pytest.mark.parametrize(("count", "size"), [(2, 64), (3, 2), (7, 2), (65, 64), (128, 64)])
    def test_no_batch_is_of_one_recording_or_much_larger_than_it_may_be(self, count, size):
        sampler = PairSampler(count, batch_size=size, seed=1)
        batches = [len(batch) // 2 for batch in sampler]
        assert len(batches) == len(sampler) and sum(batches) == count
        assert min(batches) >= 2 and max(batches) <= size + 1

    def test_each_epoch_is_another_one(self):
        epochs = [list(PairSampler(10, batch_size=4, seed=1, epoch=lambda now=now: now)) for now in (0, 0, 1)]
        assert epochs[0] == epochs[1] != epochs[2]


class TestPretext:
    def test_no_strength_changes_nothing(self):
        from earmark.audio.augmentation.augmenting import augment

        excerpts = torch.rand(4, 16, FRAMES)
        changed = augment(excerpts, pretext(0.0, mels=16, frames=FRAMES), torch.Generator(), frontend=FRONTEND)
        assert changed is excerpts

    def test_any_strength_is_possible_as_a_section_of_params_yaml(self):
        from earmark.params import Augmentation, from_dict, to_dict

        for strength in (0.3, 1.0, 2.0):
            made = pretext(strength, mels=64, frames=256)
            assert from_dict(Augmentation, to_dict(made), where="here") == made
