"""Batches made ahead in a thread: the same as without one, in order, and nobody waits for ever."""

import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from earmark.errors import ParamsError
from earmark.model.network.examples import ExcerptDataset, ExcerptSampler
from earmark.model.network.loading import AheadLoader, training_loader, validation_loader
from model_tools import FRAMES, TRAINING, songs


class Numbered(torch.utils.data.Dataset):
    """Items that are their own numbers; ``bad`` cannot be made."""

    def __init__(self, bad: int = -1) -> None:
        self.bad, self.made = bad, []

    def __getitem__(self, index: int) -> int:
        if index == self.bad:
            raise OSError(f"item {index} is broken")
        self.made.append(index)
        return index


def loader(items: int, bad: int = -1) -> AheadLoader:
    batches = [[i] for i in range(items)]
    return AheadLoader(Numbered(bad), batch_sampler=batches, collate_fn=lambda batch: batch[0])


def makers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


class TestAheadLoader:
    def test_every_batch_comes_in_order_and_as_often_as_it_is_asked_for(self):
        ahead = loader(50)
        assert list(ahead) == list(range(50)) == list(ahead)
        assert len(ahead) == 50 and not makers()

    def test_a_few_are_made_ahead_of_whoever_takes_them_and_not_all(self):
        ahead = loader(50)
        taken = iter(ahead)
        next(taken)
        end = time.monotonic() + 5
        while len(ahead.dataset.made) < 5 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.3)
        assert 5 <= len(ahead.dataset.made) <= 7
        taken.close()

    def test_an_error_in_the_thread_is_raised_where_batches_are_taken_after_those_before_it(self):
        taken = []
        with pytest.raises(OSError, match="item 3 is broken"):
            for item in loader(50, bad=3):
                taken.append(item)
        assert taken == [0, 1, 2] and not makers()

    def test_whoever_leaves_early_ends_the_thread(self):
        for item in loader(1_000):
            if item == 2:
                break
        assert not makers()

    def test_ctrl_c_while_waiting_for_a_batch_is_no_dead_lock(self):
        class Slow(Numbered):
            def __getitem__(self, index: int) -> int:
                time.sleep(1.0 if index else 0.0)
                return index

        ahead = AheadLoader(Slow(), batch_sampler=[[i] for i in range(50)], collate_fn=lambda batch: batch[0])
        began, main = time.monotonic(), threading.main_thread().ident
        signalled = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
        signalled.start()
        with pytest.raises(KeyboardInterrupt):
            list(ahead)
        assert time.monotonic() - began < 10
        assert not makers()

    def test_batches_are_those_of_a_plain_loader(self):
        examples = songs(1, tags=True, places=True)
        ahead = training_loader(examples, TRAINING, frames=FRAMES, epoch=lambda: 2)
        sampler = ExcerptSampler(examples.labels, per_epoch=2, batch_size=8, seed=3, epoch=lambda: 2)
        plain = DataLoader(
            ExcerptDataset(examples, frames=FRAMES), batch_sampler=sampler, collate_fn=lambda batch: batch
        )
        pairs = list(zip(ahead, plain, strict=True))
        assert len(pairs) == 8
        for one, other in pairs:
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_it_draws_nothing_from_the_chance_that_dropout_uses(self):
        before = torch.get_rng_state()
        list(training_loader(songs(1), TRAINING, frames=FRAMES, epoch=lambda: 0))
        assert torch.equal(torch.get_rng_state(), before)


class TestTrainingLoader:
    def test_processes_share_the_excerpts_of_one(self):
        how = replace(TRAINING, batch_size=16)
        given = {"frames": FRAMES, "epoch": lambda: 1}
        whole, *shares = (
            np.concatenate([batch[0].flatten(1).sum(dim=1).numpy() for batch in training_loader(songs(1), how, **more)])
            for more in (given, *({**given, "rank": rank, "ranks": 2} for rank in (0, 1)))
        )
        np.testing.assert_array_equal(np.sort(whole), np.sort(np.concatenate(shares)))


class TestValidationLoader:
    @staticmethod
    def labels(tracks: int, **rank: int) -> list[list[int]]:
        examples = songs(1, tracks)
        examples = replace(examples, labels=np.arange(tracks))
        return [batch[-1].tolist() for batch in validation_loader(examples, frames=FRAMES, **rank)]

    @pytest.mark.parametrize("tracks", [1, 32, 70])
    def test_every_track_is_heard_once_in_batches_that_are_not_too_large(self, tracks):
        batches = self.labels(tracks)
        assert sorted(label for batch in batches for label in batch) == list(range(tracks))
        assert all(1 <= len(batch) <= 32 for batch in batches)

    @pytest.mark.parametrize("tracks", [3, 64, 65, 66, 129, 130])
    def test_processes_share_them_in_as_many_batches_each_since_they_wait_for_each_other(self, tracks):
        shares = [self.labels(tracks, rank=rank, ranks=3) for rank in range(3)]
        assert sorted(label for share in shares for batch in share for label in batch) == list(range(tracks))
        assert len({len(share) for share in shares}) == 1
        assert all(1 <= len(batch) <= 32 for share in shares for batch in share)

    def test_fewer_tracks_than_processes_are_refused(self):
        with pytest.raises(ParamsError, match=r"2 validation track.*3 processes"):
            self.labels(2, rank=0, ranks=3)

    def test_it_is_the_middle_that_is_heard(self):
        (batch,) = validation_loader(songs(1, 4), frames=FRAMES)
        for row, log_mel in enumerate(songs(1, 4).log_mels):
            start = (len(log_mel) - FRAMES + 1) // 2
            np.testing.assert_array_equal(batch[0][row], log_mel[start : start + FRAMES])
