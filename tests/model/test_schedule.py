"""What changes over a training: where excerpts begin, rate, decay, averages, dropout, and the lines that tell of it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule
from scipy.stats import chisquare, kstest
from torch.optim.optimizer import register_optimizer_step_post_hook

from earmark.errors import ParamsError
from earmark.model.network.examples import Examples, ExcerptSampler
from earmark.model.network.learning import Epoch, Heads, Learning, one_cycle
from earmark.model.network.loading import training_loader
from earmark.model.network.training import fit, quiet_trainer
from earmark.params import Training, from_dict, to_dict
from earmark.stages import train
from model_tools import FRAMES, SETTINGS, TRAINING, made_network, songs, training


class TestPlaces:
    def test_they_are_uniform_and_a_track_gets_another_one_each_time(self):
        epochs = iter(range(20))
        sampler = ExcerptSampler(np.arange(30), per_epoch=3, batch_size=8, seed=4, epoch=lambda: next(epochs))
        keys = [key for _ in range(20) for batch in sampler for key in batch]
        places = np.array([place for _, place in keys])
        assert places.min() >= 0 and places.max() < 1 and kstest(places, "uniform").pvalue > 0.01
        of_the_first = [place for track, place in keys if track == 0]
        assert len(of_the_first) == 60 == len({*of_the_first})
        assert kstest(of_the_first, "uniform").pvalue > 0.01

    def test_an_excerpt_begins_at_each_frame_alike_as_long_as_it_is_whole(self):
        """Each frame of a song holds its own number."""
        ramp = np.arange(FRAMES + 9, dtype=np.float16)[:, None].repeat(16, axis=1)
        examples, starts = Examples.of([ramp] * 40, np.zeros(40, np.int64), classes=1), []
        for epoch in range(10):
            for excerpts, *_ in training_loader(examples, TRAINING, frames=FRAMES, epoch=lambda now=epoch: now):
                starts += excerpts[:, 0, 0].int().tolist()
                assert torch.equal(excerpts[:, -1, 0] - excerpts[:, 0, 0], torch.full((len(excerpts),), FRAMES - 1.0))
        counts = np.bincount(starts, minlength=10)
        assert len(counts) == 10 and counts.sum() == 10 * 40 * TRAINING.excerpts_per_epoch
        assert chisquare(counts).pvalue > 0.01


def rate_by_hand(step: int, *, highest: float, warmup_share: float, steps: int) -> float:
    """Half a cosine up from a 25th of the highest, which the last step of the warm-up has; half a cosine down."""
    top, lowest = warmup_share * steps - 1, highest / 25
    if step <= top:
        return lowest + (highest - lowest) * (1 - math.cos(math.pi * step / top)) / 2
    end = lowest / 10_000
    return end + (highest - end) * (1 + math.cos(math.pi * (step - top) / (steps - 1 - top))) / 2


def walked(steps: int, **how: float) -> list[dict]:
    """The settings of `one_cycle`'s optimizer at each of its ``steps``; at the end it has taken all of them."""
    given = {"learning_rate": 0.01, "weight_decay": 0.0, "warmup_share": 0.2} | how
    found = one_cycle(torch.nn.Linear(2, 2), steps=steps, **given)
    assert found["lr_scheduler"]["interval"] == "step"
    optimizer, schedule, seen = found["optimizer"], found["lr_scheduler"]["scheduler"], []
    for _ in range(steps):
        (group, *others) = optimizer.param_groups
        assert all(other["lr"] == group["lr"] for other in others)
        seen.append({"rate": group["lr"], "momentum": group["betas"][0]})
        optimizer.step()
        schedule.step()
    return seen


class TestOneCycle:
    def test_what_multiplies_decays_and_norms_and_biases_do_not(self):
        network = made_network(tags=2, places=3, pooling="attention")
        found = one_cycle(network, learning_rate=0.01, weight_decay=0.07, warmup_share=0.2, steps=10)
        decay = {id(p): group["weight_decay"] for group in found["optimizer"].param_groups for p in group["params"]}
        assert len(decay) == sum(len(group["params"]) for group in found["optimizer"].param_groups)
        multiplying = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear)
        weights = {id(each.weight) for each in network.modules() if isinstance(each, multiplying)}
        assert decay == {id(p): 0.07 if id(p) in weights else 0.0 for p in network.parameters()}
        assert isinstance(found["optimizer"], torch.optim.AdamW)  # its decay is decoupled from the gradient

    @pytest.mark.parametrize(("share", "steps"), [(0.15, 40), (0.3, 10), (0.5, 100), (0.0, 12), (0.9, 30)])
    def test_the_rate_warms_up_and_falls_as_a_cosine(self, share, steps):
        rates = [at["rate"] for at in walked(steps, learning_rate=0.02, warmup_share=share)]
        expected = [rate_by_hand(step, highest=0.02, warmup_share=share, steps=steps) for step in range(steps)]
        assert rates == pytest.approx(expected)

    def test_momentum_goes_the_other_way(self):
        """High rates want little of it (Smith and Topin)."""
        seen = walked(21, warmup_share=11 / 21)
        assert [seen[step]["momentum"] for step in (0, 10, 20)] == pytest.approx([0.95, 0.85, 0.95])

    @pytest.mark.parametrize(("share", "steps"), [(0.1, 10), (0.2, 5), (0.05, 20), (0.5, 2)])
    def test_a_warm_up_of_exactly_one_step_begins_at_the_highest_rate(self, share, steps):
        rates = [at["rate"] for at in walked(steps, warmup_share=share)]
        assert rates[0] == pytest.approx(0.01) and (np.diff(rates) < 0).all()

    @pytest.mark.parametrize("share", np.linspace(0, 0.9, 19).tolist())
    def test_however_short_the_training_is_and_long_its_warm_up_there_is_a_rate(self, share):
        for steps in range(1, 25):
            assert all(0 < at["rate"] <= 0.01 + 1e-12 for at in walked(steps, warmup_share=share))

    @pytest.mark.parametrize("share", [-0.1, 0.95, 1.0])
    def test_a_warm_up_that_leaves_no_time_to_cool_down_is_refused(self, share):
        with pytest.raises(ParamsError, match=r"warmup_share should be from 0 to 0\.9"):
            from_dict(Training, to_dict(TRAINING) | {"warmup_share": share}, where="training")


class TestFit:
    def test_the_schedule_is_laid_over_the_steps_of_the_whole_training(self):
        """24 excerpts are 3 batches of 8; after an epoch stands the rate of the step that follows."""
        settings = training(epochs=5, learning_rate=0.02, warmup_share=0.4)
        _, history = fit(songs(1, tracks=12), None, settings)
        told = [epoch.learning_rate for epoch in history[:-1]]
        expected = [rate_by_hand(3 * done, highest=0.02, warmup_share=0.4, steps=15) for done in range(1, 5)]
        assert told == pytest.approx(expected)

    @pytest.mark.parametrize("decay", [0.0, 0.3])
    def test_the_decay_is_the_one_of_the_settings(self, decay):
        how = training(weight_decay=decay)
        found = Learning(made_network(), how, Heads(3, 0, 0), steps=5, on_epoch=None).configure_optimizers()
        assert {group["weight_decay"] for group in found["optimizer"].param_groups} == {0.0, decay}

    @staticmethod
    def gradients_of_steps(clip: float) -> list[torch.Tensor]:
        """What the optimizer went by in each step of a training with a huge loss; shape ``(parameters,)`` each."""
        seen: list[torch.Tensor] = []

        def after_a_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            seen.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).clone())

        hook = register_optimizer_step_post_hook(after_a_step)  # Lightning clips within the step
        try:
            fit(songs(1, tracks=8), None, training(epochs=1, penalty=1e3, gradient_clip=clip))
        finally:
            hook.remove()
        return seen

    def test_gradients_are_clipped_where_params_say_so_by_their_norm(self):
        free, far = self.gradients_of_steps(0.0), self.gradients_of_steps(1e6)
        assert len(free) == 2 and all(gradient.norm() > 1000 for gradient in free)
        assert all(torch.equal(a, b) for a, b in zip(free, far, strict=True))  # not so long as to be clipped
        for limit in (0.7, 5.0):
            clipped = self.gradients_of_steps(limit)
            assert [float(gradient.norm()) for gradient in clipped] == pytest.approx([limit] * 2, rel=1e-4)
            # Shortened, not turned, as it would be if each number was clipped; later steps start elsewhere.
            torch.testing.assert_close(clipped[0], free[0] * (limit / free[0].norm()), rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("limit", [0.7, 0.0])
    def test_a_step_goes_no_further_than_a_clipped_gradient(self, limit):
        """Plain descent at a rate of 1, from 0 by a gradient of norm 5,000."""

        class Steep(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.weight = torch.nn.Parameter(torch.zeros(2))

            def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
                return self.weight @ torch.tensor([3000.0, -4000.0], device=self.device)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD(self.parameters(), lr=1.0)

        steep = Steep()
        quiet_trainer(replace(TRAINING, gradient_clip=limit), epochs=1, callbacks=[]).fit(steep, [torch.zeros(1)])
        length = limit or 5000
        assert steep.weight.tolist() == pytest.approx([-0.6 * length, 0.8 * length], rel=1e-4)

    @pytest.mark.parametrize("share", [0.0, 0.17])
    def test_dropout_is_the_one_of_params_and_at_work_in_training_alone(self, share):
        settings = replace(training(epochs=1), network=replace(SETTINGS.network, dropout=share))
        network, _ = fit(songs(1, tracks=8), None, settings)
        assert network.dropout.p == share
        heard = torch.rand(6, 16, FRAMES)
        assert torch.equal(network(heard)[0], network(heard)[0])
        assert torch.equal(network.train()(heard)[0], network(heard)[0]) == (share == 0)

    @pytest.mark.parametrize("decay", [0.8, 0.3, 0.0])
    def test_the_weights_that_are_returned_are_the_exponential_average_of_those_after_each_step(
        self, monkeypatch, decay
    ):
        seen: list[dict[str, torch.Tensor]] = []

        def after_a_step(module: Learning, *_: object) -> None:
            seen.append({name: p.detach().clone() for name, p in module.network.named_parameters()})

        monkeypatch.setattr(Learning, "on_train_batch_end", after_a_step)
        network, _ = fit(songs(1, tracks=12), None, training(epochs=2, averaging=decay))
        assert len(seen) == 6
        average = seen[0]
        for weights in seen[1:]:
            average = {name: decay * average[name] + (1 - decay) * weights[name] for name in average}
        for name, p in network.named_parameters():
            torch.testing.assert_close(p.detach(), average[name])
        assert torch.equal(network.genre.weight, seen[-1]["genre.weight"]) == (decay == 0)


class TestProgress:
    """A line an epoch of the stage `train`."""

    @pytest.fixture
    def clock(self, monkeypatch) -> SimpleNamespace:
        clock = SimpleNamespace(now=1000.0)
        monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    @staticmethod
    def epoch(number: int) -> Epoch:
        return Epoch(number, 0.12345, 0.9, 0.4567, 0.8, 0.01)

    def test_it_tells_losses_accuracy_and_the_time_that_is_left(self, clock, capsys):
        teller = train._Teller(10)
        for number in (1, 2, 10):
            clock.now = 1000.0 + 30 * number
            teller(self.epoch(number))
        out, lines = capsys.readouterr()
        assert out == ""
        rest = "loss 0.123  validation: loss 0.457, accuracy 0.800"
        assert lines.splitlines() == [
            f"epoch   1/10  {rest}   270 s left",
            f"epoch   2/10  {rest}   240 s left",
            f"epoch  10/10  {rest}     0 s left",
        ]

    def test_where_no_songs_are_held_out_nothing_is_told_of_them(self, clock, capsys):
        train._Teller(10)(Epoch(1, 0.12345, 0.9, float("nan"), float("nan"), 0.01))
        assert capsys.readouterr().err == "epoch   1/10  loss 0.123     0 s left\n"

    def test_carried_on_it_says_so_once_and_reckons_by_its_own_epochs_alone(self, clock, capsys):
        teller = train._Teller(10)
        for number in (4, 5):
            clock.now += 20
            teller(self.epoch(number))
        said, first, second = capsys.readouterr().err.splitlines()
        assert said == "carried on after epoch 3"
        assert first.endswith(" 120 s left") and second.endswith(" 100 s left")
