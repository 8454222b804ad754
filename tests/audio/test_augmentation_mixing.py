import pytest
import torch

from earmark.audio.augmentation.mixing import mixup, segment_mixing


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def excerpts() -> torch.Tensor:
    return torch.rand(6, 20, 50, generator=chance(9)) + 0.5


class TestMixup:
    def test_targets_are_mixed_in_the_proportion_of_the_excerpts(self):
        constant = torch.arange(4.0)[:, None, None].expand(4, 3, 5)
        mixed, targets = mixup(constant, torch.eye(4), 0.5, chance(1))
        torch.testing.assert_close(mixed[:, 0, 0], targets @ torch.arange(4.0))
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
        assert not torch.equal(targets, torch.eye(4))

    def test_alpha_zero_changes_nothing(self, excerpts):
        targets = torch.eye(6)
        mixed = mixup(excerpts, targets, 0.0, chance())
        assert mixed[0] is excerpts and mixed[1] is targets


class TestSegmentMixing:
    """Each excerpt is filled with its own number, and each frame with the frame's: so one sees what came from where."""

    frames = 40
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    numbered = 100.0 * torch.arange(6.0)[:, None, None] + torch.arange(40.0).expand(6, 3, 40)

    def mixed(self, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Of which excerpt each frame is, and which frame of it; both ``(batch, frames)``."""
        mixed = segment_mixing(self.numbered, self.labels, share, chance(seed))
        assert torch.equal(mixed, mixed[:, :1].expand_as(mixed))
        return mixed[:, 0].long() // 100, mixed[:, 0].long() % 100

    def test_a_stretch_comes_from_another_excerpt_of_the_same_label_and_from_the_same_place(self):
        donors = set()
        for seed in range(30):
            origin, place = self.mixed(1.0, seed)
            assert torch.equal(place, torch.arange(self.frames).expand(6, -1))
            assert torch.equal(self.labels[origin], self.labels[:, None].expand(6, self.frames))
            for number, row in enumerate(origin[:5]):
                foreign = row != number
                assert 1 <= int(foreign.sum()) <= self.frames // 2
                assert len(row[foreign].unique()) == 1
                assert int((foreign[1:] & ~foreign[:-1]).sum() + foreign[0]) == 1
                donors.add((number, int(row[foreign][0])))
        assert donors == {(a, b) for a in range(5) for b in range(5) if a != b and self.labels[a] == self.labels[b]}

    def test_an_excerpt_that_is_alone_with_its_label_stays_whole(self):
        assert all((self.mixed(1.0, seed)[0][5] == 5).all() for seed in range(10))

    def test_labels_are_not_touched(self):
        labels = self.labels.clone()
        segment_mixing(self.numbered, labels, 1.0, chance())
        assert torch.equal(labels, self.labels)

    def test_so_many_are_changed_as_were_asked_for(self):
        numbers = torch.arange(2000.0)[:, None, None].expand(2000, 1, 8)
        mixed = segment_mixing(numbers, torch.zeros(2000, dtype=torch.long), 0.3, chance())
        assert float((mixed != numbers).any(dim=2).float().mean()) == pytest.approx(0.3, abs=0.04)

    def test_a_share_of_0_changes_nothing(self, excerpts):
        assert segment_mixing(excerpts, self.labels, 0.0, chance()) is excerpts
