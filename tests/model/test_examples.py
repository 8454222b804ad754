"""Examples: which excerpts are drawn, in which order, and what comes with them."""

import numpy as np
import pytest

from earmark.errors import ParamsError
from earmark.model.network.examples import UNLABELLED, Examples, ExcerptDataset, ExcerptSampler


def sampler(tracks: int, *, labels: np.ndarray | None = None, **how) -> ExcerptSampler:
    given = {"per_epoch": 2, "batch_size": 8, "seed": 0} | how
    return ExcerptSampler(np.zeros(tracks, np.int64) if labels is None else labels, **given)


class TestExcerptSampler:
    def test_every_track_is_drawn_as_often_as_asked_in_batches_of_about_one_size(self):
        batches = list(sampler(13))
        drawn = sorted(track for batch in batches for track, _ in batch)
        assert drawn == sorted(list(range(13)) * 2)
        assert len(batches) == len(sampler(13)) and {len(batch) for batch in batches} == {6, 7}

    def test_each_epoch_has_an_order_of_its_own_that_can_be_repeated(self):
        def keys(epoch):
            return list(sampler(9, per_epoch=1, batch_size=3, seed=5, epoch=lambda: epoch))

        assert keys(0) == keys(0) and keys(0) != keys(1)

    def test_balanced_each_genre_is_drawn_alike(self):
        labels = np.array([0] * 4 + [1] * 36)
        drawn = [labels[track] for batch in sampler(40, labels=labels, balance=1.0) for track, _ in batch]
        assert np.bincount(drawn).tolist() == [40, 40]

    def test_balanced_those_without_a_genre_come_as_often_as_they_would_without_balance(self):
        labels = np.array([0] * 4 + [1] * 36 + [UNLABELLED] * 10)
        drawn = [labels[track] for batch in sampler(50, labels=labels, balance=1.0) for track, _ in batch]
        assert np.bincount(np.array(drawn) + 1).tolist() == [20, 40, 40]

    @pytest.mark.parametrize("ranks", [2, 3])
    def test_processes_share_each_batch_among_them(self, ranks):
        whole = list(sampler(13))
        shares = [list(sampler(13, rank=rank, ranks=ranks)) for rank in range(ranks)]
        for batch, *parts in zip(whole, *shares, strict=True):
            assert sorted(batch) == sorted(key for part in parts for key in part)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1

    def test_a_batch_that_leaves_a_process_with_one_excerpt_is_refused(self):
        with pytest.raises(ParamsError, match=r"batch of 6 excerpts.*4 processes.*batch_size"):
            sampler(13, rank=0, ranks=4)


class TestExcerptDataset:
    RAMP = np.arange(50, dtype=np.float16)[:, None].repeat(2, axis=1)

    def test_places_reach_from_the_first_frame_to_the_last(self):
        dataset = ExcerptDataset(Examples.of([self.RAMP], np.array([1]), classes=2), frames=10)
        (first, *_, labels), (last, *_) = dataset[(0, 0.0)], dataset[(0, 0.999999)]
        assert first.shape == (1, 10, 2) and labels.tolist() == [1]
        assert first[0, 0, 0] == 0 and last[0, -1, 0] == 49

    def test_a_batch_holds_what_single_excerpts_hold_and_all_that_is_known_of_their_tracks(self):
        rng = np.random.default_rng(0)
        tags, places = rng.random((3, 2, 4)).astype(np.float32), rng.random((3, 5)).astype(np.float32)
        places[1] = np.nan
        songs = [self.RAMP, self.RAMP[:4] + 100, self.RAMP + 200]  # one is shorter than an excerpt
        dataset = ExcerptDataset(
            Examples.of(songs, np.array([1, 0, 1]), classes=2, tags=tags, places=places), frames=10
        )
        keys = [(2, 0.5), (1, 0.3), (0, 0.9), (2, 0.1)]
        excerpts, genres, *told, labels = dataset.__getitems__(keys)
        for row, key in enumerate(keys):
            np.testing.assert_array_equal(excerpts[row], dataset[key][0][0])
        assert genres.tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]] and labels.tolist() == [1, 0, 1, 1]
        for known, whole in zip(told, (tags, places), strict=True):
            np.testing.assert_array_equal(known, whole[[2, 1, 0, 2]])
        assert excerpts[1, :, 0].tolist() == [100, 101, 102, 103] * 2 + [100, 101]


class TestExamples:
    def test_the_chosen_ones_have_all_that_was_theirs(self):
        rng = np.random.default_rng(0)
        tags, places = rng.random((3, 2, 4)).astype(np.float32), rng.random((3, 5)).astype(np.float32)
        log_mels = [np.full((4, 2), i, np.float16) for i in range(3)]
        some = Examples.of(log_mels, np.array([0, 1, 2]), classes=3, tags=tags, places=places)[[2, 0]]
        assert len(some) == 2 and [float(each[0, 0]) for each in some.log_mels] == [2.0, 0.0]
        assert some.labels.tolist() == [2, 0] and some.genres.tolist() == [[0, 0, 1], [1, 0, 0]]
        np.testing.assert_array_equal(some.tags, tags[[2, 0]])
        np.testing.assert_array_equal(some.places, places[[2, 0]])

    def test_one_without_a_genre_is_of_none_of_them(self):
        some = Examples.of(list("abc"), np.array([1, UNLABELLED, 0]), classes=2)
        assert some.genres.tolist() == [[0, 1], [0, 0], [1, 0]] and some.labels.tolist() == [1, UNLABELLED, 0]
        assert not some.all_labelled and not some[[1]].all_labelled and some[[2, 0]].all_labelled

    def test_without_tags_and_places_there_is_room_for_none(self):
        bare = Examples.of([self.__class__.__name__] * 2, np.array([0, 1]), classes=2)
        assert bare.tags.shape == (2, 2, 0) and bare.places.shape == (2, 0)
