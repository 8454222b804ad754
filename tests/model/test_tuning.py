"""What tuning goes by: held-out songs alone, test songs never, and a loss that is the one of training."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from earmark.audio.features import FeatureCache
from earmark.errors import CatalogueError, ModelError
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.material import Material
from earmark.model.network.losses import tag_loss
from earmark.model.tags import Tags
from earmark.model.tuning.search_space import Choice, Space, Spread
from earmark.model.tuning.tuning import (
    check_starts,
    fresh_seeds,
    genre_losses,
    held_for_tuning,
    key_of,
    losses,
    paired,
    tag_losses,
)
from earmark.params import Augmentation, Evaluation, Params, load_params
from earmark.workspace import FEATURE_CACHE
from model_tools import FRONTEND, NETWORK, TRAINING, made_network, songs
from scratch import CHECKOUT

GENRES = ("calm", "loud", "odd")
SPACE = Space({"training.learning_rate": Spread(0.0001, 0.1, log=True, whole=False)})


def params(**training) -> Params:
    whole = load_params(CHECKOUT / "params.yaml")
    return dataclasses.replace(
        whole,
        frontend=FRONTEND,
        network=NETWORK,
        training=dataclasses.replace(TRAINING, **{"epochs": 4, **training}),
        augmentation=Augmentation(),
        tuning=dataclasses.replace(whole.tuning, folds=2),
    )


def made(root: Path, *, tags: bool = False, test_seed: int = 5) -> Material:
    """36 songs to learn and 12 to test, whose log-mels are in the cache; their audio is nowhere."""
    learnt, tested = songs(1, 36, tags=True), songs(test_seed, 12, tags=True)
    cache = FeatureCache(root / FEATURE_CACHE, FRONTEND)
    rows, told = [], []
    for side, examples in (("learnt", learnt), ("test", tested)):
        for i, log_mel in enumerate(examples.log_mels):
            name = hashlib.sha256(f"{side} {i}".encode()).hexdigest()
            cache.store(name, log_mel)
            split = "test" if side == "test" else "validation" if i % 6 == 5 else "train"
            rows.append(
                {
                    "track_id": f"{side} {i:02d}",
                    "content_hash": name,
                    "path": f"{i}.wav",
                    "split": split,
                    "group": f"{side} {i // 3 % 6} {i % 3}",
                    "genre": GENRES[examples.labels[i]],
                }
            )
            share, weight = examples.tags[i, :, 0]
            told.append(
                {"track_id": f"{side} {i:02d}", "tag": "loud", "share": share, "weight": weight, "ceiling": np.nan}
            )
    table = Tags(("loud",), pd.DataFrame(told)) if tags else Tags()
    return Material(pd.DataFrame(rows).sort_values("track_id", ignore_index=True), root, FRONTEND, table)


class TestLosses:
    def test_each_song_of_training_and_validation_is_answered_once_by_a_network_that_has_not_heard_its_group(
        self, tmp_path
    ):
        material = made(tmp_path)
        held = held_for_tuning(material, params())
        assert sorted(held.tracks["track_id"]) == sorted(f"learnt {i:02d}" for i in range(36))
        for part in held.parts:
            assert not set(part.held["group"]) & set(part.fitted["group"])
        assert len(losses(held, params())) == 36

    def test_nothing_about_test_songs_makes_a_difference_not_even_that_they_are_gone(self, tmp_path):
        as_it_is = losses(held_for_tuning(made(tmp_path / "a"), params()), params())
        other = made(tmp_path / "b", test_seed=77)
        table = other.tracks.assign(
            genre=np.where(other.tracks["split"] == "test", "unheard of", other.tracks["genre"]),
            group=np.where(other.tracks["split"] == "test", "learnt 0 0", other.tracks["group"]),
        )
        changed = held_for_tuning(dataclasses.replace(other, tracks=table), params())
        assert np.array_equal(losses(changed, params()), as_it_is)
        gone = made(tmp_path / "c")
        cache = FeatureCache(tmp_path / "c" / FEATURE_CACHE, FRONTEND)
        for name in gone.part("test")["content_hash"]:
            for file in (tmp_path / "c").rglob(f"{name}*"):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            assert cache.open(name) is None
        assert np.array_equal(losses(held_for_tuning(gone, params()), params()), as_it_is)
        keys = {key_of(held_for_tuning(each, params()), SPACE, params()) for each in (made(tmp_path / "a"), gone)}
        assert len(keys) == 1

    def test_a_training_that_learns_loses_less_than_one_that_hardly_does(self, tmp_path):
        held = held_for_tuning(made(tmp_path), params())
        good, bad = (losses(held, params(learning_rate=rate, epochs=10)).mean() for rate in (0.01, 0.00001))
        assert good < bad

    def test_tags_count_by_the_share_that_they_have_in_training(self, tmp_path):
        material = made(tmp_path, tags=True)
        told = {
            share: losses(held_for_tuning(material, params(tag_share=share)), params()) for share in (0.0, 0.5, 1.0)
        }
        np.testing.assert_allclose(told[0.5], (told[0.0] + told[1.0]) / 2)
        assert not np.allclose(told[0.0], told[1.0])

    def test_how_it_is_told_of_does_not_change_with_what_is_tried(self, tmp_path):
        held = held_for_tuning(made(tmp_path, tags=True), params(tag_share=0.25))
        assert held.tag_share == 0.25
        assert losses(held, params(tag_share=0.9)).shape == (36,)

    def test_each_fold_tells_of_its_epochs_and_what_the_listener_raises_ends_it(self, tmp_path):
        held = held_for_tuning(made(tmp_path), params())
        seen = []
        losses(held, params(epochs=2), on_epoch=lambda fold, epoch: seen.append((fold, epoch.epoch)))
        assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]

        class Enough(Exception):
            pass

        def stop(fold, epoch):
            raise Enough

        with pytest.raises(Enough):
            losses(held, params(), on_epoch=stop)

    def test_more_folds_than_a_genre_has_groups_are_refused_by_their_own_name(self, tmp_path):
        how = dataclasses.replace(params(), tuning=dataclasses.replace(params().tuning, folds=20))
        with pytest.raises(CatalogueError, match=r"tuning\.folds is 20"):
            held_for_tuning(made(tmp_path), how)


class TestGenreLosses:
    def test_it_is_minus_log_of_the_right_ones_probability(self):
        found = genre_losses(np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([1, 0]))
        np.testing.assert_allclose(found, [np.log(4 / 3), 0.0], atol=1e-12)

    def test_a_right_genre_that_was_ruled_out_costs_much_but_not_everything(self):
        assert 5 < genre_losses(np.array([[1.0, 0.0]]), np.array([1]))[0] < 1000


class TestTagLosses:
    def test_the_mean_over_songs_is_the_loss_of_training(self):
        rng = np.random.default_rng(1)
        logits, shares, weights = rng.normal(size=(7, 3)), rng.random((7, 3)), rng.random((7, 3))
        weights[2] = 0
        as_trained = tag_loss(*(torch.from_numpy(each) for each in (logits, shares * weights, weights)))
        found = tag_losses(1 / (1 + np.exp(-logits)), shares, weights)
        assert found.mean() == pytest.approx(float(as_trained), rel=1e-6)
        assert found[2] == 0


class TestPaired:
    HOW = Evaluation(seed=1, resamples=500, confidence=0.9)
    GROUPS = np.array([f"artist {i // 2}" for i in range(40)], dtype=object)

    def test_a_gain_on_every_song_is_sure_and_one_that_chance_gives_is_not(self):
        rng = np.random.default_rng(0)
        present = [rng.random(40) for _ in range(3)]
        sure = paired([each - 0.1 for each in present], present, self.GROUPS, self.HOW)
        assert (sure.value, sure.low, sure.high) == pytest.approx((-0.1, -0.1, -0.1))
        chance = paired([rng.random(40) for _ in range(3)], present, self.GROUPS, self.HOW)
        assert chance.low < 0 < chance.high

    def test_one_artist_who_gains_much_is_no_proof(self):
        present = [np.ones(40)]
        best = [np.where(self.GROUPS == "artist 3", 0.0, 1.0)]
        found = paired(best, present, self.GROUPS, self.HOW)
        assert found.value < 0 and found.high == 0


class TestFreshSeeds:
    def test_they_differ_from_each_other_and_from_that_of_the_trials(self):
        seeds = fresh_seeds(params(), 5)
        assert len(set(seeds) | {params().training.seed}) == 6
        assert seeds == fresh_seeds(params(), 5)
        assert seeds[0] in fresh_seeds(params(seed=seeds[0] + 1), 5) and seeds[0] not in fresh_seeds(
            params(seed=seeds[0]), 5
        )


class TestCheckStarts:
    """Of weights in weights/ours that were fitted to some songs, and a search that stays with them."""

    def start(self, root: Path, heard: frozenset[str], *, labelled: bool = True) -> Params:
        NetworkEncoder(heard, made_network(), NETWORK, FRONTEND, labelled=labelled).save(root / "weights" / "ours")
        return params(start_from="weights/ours")

    @pytest.mark.parametrize("side", ["train", "validation", "test"])
    def test_that_know_a_song_by_its_label_are_refused_for_every_song_is_held_out_once(self, tmp_path, side):
        material = made(tmp_path)
        how = self.start(tmp_path, frozenset(material.part(side)["content_hash"][:1]))
        with pytest.raises(ModelError, match="1 of the songs that are held out here"):
            check_starts(material, held_for_tuning(material, how), SPACE, how)

    def test_that_only_listened_to_them_or_know_others_are_taken(self, tmp_path):
        material = made(tmp_path)
        for heard, labelled in ((material.hashes(material.part("train")), False), (frozenset({"elsewhere"}), True)):
            how = self.start(tmp_path, heard, labelled=labelled)
            assert check_starts(material, held_for_tuning(material, how), SPACE, how) == []

    def test_all_that_a_search_may_come_upon_are_looked_at_before_it_begins(self, tmp_path):
        material = made(tmp_path)
        self.start(tmp_path, material.hashes(material.part("validation")))
        shutil.copytree(CHECKOUT / "weights" / "none", tmp_path / "weights" / "none")
        how = params(start_from="weights/none")
        held = held_for_tuning(material, how)
        assert check_starts(material, held, SPACE, how) == []
        choice = Space({"training.start_from": Choice(("weights/none", "weights/ours"))})
        with pytest.raises(ModelError, match="held out"):
            check_starts(material, held, choice, how)

    def test_of_which_nothing_is_known_are_named(self, tmp_path):
        material, how = made(tmp_path), params(start_from="ours.pt")
        torch.save(made_network().state_dict(), tmp_path / "ours.pt")
        assert check_starts(material, held_for_tuning(material, how), SPACE, how) == ["ours.pt"]


class TestKeyOf:
    def test_weights_in_a_file_count_and_other_models_in_the_project_do_not(self, tmp_path):
        held = held_for_tuning(made(tmp_path), params())
        (tmp_path / "models").mkdir()
        keys = {"ours.pt": set(), "": set()}
        for content in (b"one", b"other"):
            (tmp_path / "ours.pt").write_bytes(content)
            (tmp_path / "models" / "network.pt").write_bytes(content)
            for start, found in keys.items():
                found.add(key_of(held, SPACE, params(start_from=start)))
        assert len(keys["ours.pt"]) == 2 and len(keys[""]) == 1

    def test_other_weights_to_start_from_make_another_search(self, tmp_path):
        how = params(start_from="weights/ours")
        held = held_for_tuning(made(tmp_path), how)
        (tmp_path / "weights" / "ours").mkdir(parents=True)
        keys = []
        for content in (b"one", b"other", b"one"):
            (tmp_path / "weights" / "ours" / "weights.pt").write_bytes(content)
            keys.append(key_of(held, SPACE, how))
        assert keys[0] == keys[2] != keys[1]

    def test_it_follows_from_songs_space_and_what_is_left_but_not_from_what_is_searched(self, tmp_path):
        held = held_for_tuning(made(tmp_path), params())
        key = key_of(held, SPACE, params())
        assert key_of(held, SPACE, params(learning_rate=0.5)) == key
        assert key_of(held, SPACE, params(weight_decay=0.5)) != key
        wider = Space({"training.learning_rate": Spread(0.0001, 0.2, log=True, whole=False)})
        assert key_of(held, wider, params()) != key
        tracks = held.material.tracks
        relabelled = dataclasses.replace(
            held.material, tracks=tracks.assign(genre=tracks["genre"].iloc[::-1].to_list())
        )
        assert key_of(held_for_tuning(relabelled, params()), SPACE, params()) != key
