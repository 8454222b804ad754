"""A network of earmark's own as an encoder: what its trunk hears, without what it made of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.features import Extractor
from earmark.audio.spectrogram import frames_of
from earmark.model.encoders.encoder import Encoder, fill
from earmark.model.network.excerpts import spread
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import Frontend, Network, from_dict, to_dict


@dataclass(frozen=True, eq=False)
class NetworkEncoder(Encoder):
    """Mean and deviation, over excerpts, of what the trunk hears.

    Attributes:
        network: Its heads are not asked.
        how: Section ``network`` of the params.yaml that it was trained with.
        frontend: And section ``frontend``.
    """

    network: MusicNetwork
    how: Network
    frontend: Frontend

    kind = "network"
    version = 1

    @property
    def sample_rate_hz(self) -> int:
        """The front-end's."""
        return self.frontend.sample_rate_hz

    @property
    def dims(self) -> int:
        """Twice the trunk's width."""
        return 2 * self.network.width

    def encode(self, waveform: Tensor) -> NDArray[np.float32]:
        """As `Encoder.encode`."""
        frames = frames_of(self.how.excerpt_seconds, self.frontend)
        excerpts = spread(self._extractor.log_mel(waveform), frames=frames, count=self.how.excerpts)
        with torch.inference_mode():
            heard = self.network.heard(torch.from_numpy(excerpts).transpose(1, 2).float())
            vector = torch.cat([heard.mean(dim=0), heard.std(dim=0, correction=0)])
        return np.asarray(vector.numpy(), dtype=np.float32)

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(self.frontend)

    def _settings(self) -> dict[str, Any]:
        return {"network": to_dict(self.how), "frontend": to_dict(self.frontend)}

    def _weights(self) -> Mapping[str, Tensor]:
        return {name: value for name, value in self.network.state_dict().items() if not is_head(name)}

    @classmethod
    def load(cls, about: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """As `Encoder.load`."""
        how = from_dict(Network, about["network"], where="encoder.json: network")
        frontend = from_dict(Frontend, about["frontend"], where="encoder.json: frontend")
        network = MusicNetwork(how, mels=frontend.mels, classes=1)
        heads = {name: value for name, value in network.state_dict().items() if is_head(name)}
        fill(network, {**heads, **weights}, where="a network's encoder")
        return cls(frozenset(about["trained_on"]), network, how, frontend, labelled=about["labelled"])

    @classmethod
    def of(cls, predictor: NetworkPredictor) -> Self:
        """Of a trained predictor: of several networks the first, as its embeddings are."""
        network = MusicNetwork(predictor.how, mels=predictor.frontend.mels, classes=1)
        own = predictor.networks[0].state_dict()
        heads = {name: value for name, value in network.state_dict().items() if is_head(name)}
        fill(network, {**{k: v.cpu() for k, v in own.items() if not is_head(k)}, **heads}, where="the predictor")
        return cls(predictor.trained_on, network, predictor.how, predictor.frontend)


def is_head(name: str) -> bool:
    """Whether these weights of a `MusicNetwork` belong to what it answers, not to what it hears."""
    return name.split(".")[0] in ("genre", "tags", "place")
