"""For the models' tests: tiny settings, and made-up songs whose genre, tags and listeners can be heard."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.model.network.examples import Examples
from earmark.model.network.learning import Settings
from earmark.model.network.network import MusicNetwork
from earmark.params import Augmentation, Forest, Frontend, Network, Training

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
NETWORK = Network(size="tiny", pooling="mean_max", dropout=0.3, embedding="none", excerpt_seconds=0.512, excerpts=3)
TRAINING = Training(
    seed=3,
    epochs=5,
    patience=0,
    batch_size=8,
    excerpts_per_epoch=2,
    balance=0.0,
    learning_rate=0.01,
    warmup_share=0.2,
    gradient_clip=5.0,
    averaging=0.8,
    weight_decay=0.01,
    penalty=0.0,
    penalty_p=2,
    label_smoothing=0.1,
    relabelling=0.0,
    tag_share=0.5,
    embedding_share=0.3,
    start_from="",
    precision="32",
    compile=False,
    devices=1,
    nodes=1,
)
SETTINGS = Settings(
    FRONTEND,
    NETWORK,
    TRAINING,
    Augmentation(mixup_alpha=0.3, frequency_mask=3, time_mask=6, gain_db=3.0, equaliser_db=1.0),
)
FOREST = Forest(
    seed=1,
    kind="random_forest",
    trees=60,
    max_features="sqrt",
    min_samples_leaf=1,
    learning_rate=0.1,
    features="all",
)
COMMON: dict[str, Any] = {
    "labels": ("calm", "loud", "odd"),
    "frontend": FRONTEND,
    "trained_on": frozenset({"b", "a"}),
    "data_hash": "d",
}
FRAMES = SETTINGS.frames  # of an excerpt


def training(settings: Settings = SETTINGS, **changed: Any) -> Settings:
    """Settings with other numbers in the section ``training``."""
    return replace(settings, training=replace(settings.training, **changed))


def made_network(*, tags: int = 0, places: int = 0, classes: int = 3, seed: int = 1, **how: Any) -> MusicNetwork:
    """A network with random weights, in evaluation mode, whose answers differ from song to song."""
    torch.manual_seed(seed)
    network = MusicNetwork(replace(NETWORK, **how), mels=16, classes=classes, tags=tags, places=places)
    with torch.no_grad():
        network.genre.weight.mul_(20)
        if network.tags is not None:
            network.tags.weight.mul_(20)
    return network.eval()


def noise(seconds: float, seed: int = 0) -> Tensor:
    """A waveform, shape ``(time,)``."""
    return 0.1 * torch.randn(int(seconds * 8_000), generator=torch.Generator().manual_seed(seed))


def songs(seed: int, tracks: int = 30, *, tags: bool = False, places: bool = False) -> Examples:
    """Three genres, each loud in its own third of the bands; on request two tags, and places among listeners.

    The first tag is given by nine in ten listeners where all is loud, else by one in ten, whatever the genre. The
    second is a matter of chance. What is known of a song weighs between a half and all. Listeners put songs on a
    circle, by how loud the genre's bands are: another thing than genre and tags.
    """
    rng = np.random.default_rng(seed)
    labels, loud = (np.arange(tracks) % 3).astype(np.int64), rng.random(tracks) < 0.5
    strength = rng.random(tracks) if places else np.full(tracks, 0.35)
    log_mels = []
    for label, high, strong in zip(labels, loud, strength, strict=True):
        values = rng.random((rng.integers(40, 90), 16)) + 0.8 * high
        values[:, label * 5 : label * 5 + 5] += 0.4 + 2 * strong if places else 0.7
        log_mels.append(values.astype(np.float16))
    shares = np.stack([np.where(loud, 0.9, 0.1), np.where(rng.random(tracks) < 0.5, 0.9, 0.1)], axis=1)
    known = np.stack([shares, rng.uniform(0.5, 1, shares.shape)], axis=1).astype(np.float32)
    circle = np.stack([np.cos(np.pi * strength), np.sin(np.pi * strength)], axis=1).astype(np.float32)
    return Examples.of(log_mels, labels, classes=3, tags=known if tags else None, places=circle if places else None)


def batch_of(examples: Examples) -> Tensor:
    """The first excerpt of each, as the network takes them, shape ``(tracks, mels, frames)``."""
    return torch.stack([torch.from_numpy(x[:FRAMES].astype(np.float32).T) for x in examples.log_mels])


def heard(network: MusicNetwork, examples: Examples) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Genre logits, shares of tags and embeddings of the first excerpt of each."""
    with torch.inference_mode():
        genres, tags, places = network(batch_of(examples))
    return genres.numpy(), tags.sigmoid().numpy(), places.numpy()


def accuracy(network: MusicNetwork, held_out: Examples) -> float:
    """Share of the genres that it knows."""
    return float((heard(network, held_out)[0].argmax(axis=1) == held_out.labels).mean())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two networks' states are the same to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
