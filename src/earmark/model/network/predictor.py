"""The convolutional network as a predictor: one network, or several that were each kept from hearing some artists."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from earmark.audio.spectrogram import frames_of
from earmark.errors import ModelError
from earmark.files import replacing
from earmark.model.answers import Answers, Inputs
from earmark.model.network.excerpts import spread
from earmark.model.network.network import MusicNetwork
from earmark.model.predictor import Predictor
from earmark.params import Network, from_dict, to_dict


@dataclass(frozen=True)
class NetworkPredictor(Predictor):
    """Networks, each heard in ``how.excerpts`` excerpts spread evenly over the recording.

    What they say is combined as the geometric mean of the probabilities, normalised, over excerpts and networks
    (Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS
    2017); of the tags as the mean of their shares. The embedding is the first network's, as the mean over the
    excerpts: those of several networks have nothing to do with each other.
    """

    networks: tuple[MusicNetwork, ...]
    how: Network
    device: str = field(default="cpu", kw_only=True)

    kind = "network"
    needs_log_mel = True

    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """As `Predictor.raw`, of log-mels."""
        told = [self._one(each) for each in inputs]
        genres, shares, embeddings = (np.stack(part) for part in zip(*told, strict=True))
        return Answers(genres, shares, embeddings)

    def excerpts(self, log_mel: Any) -> Tensor:
        """What is heard of a recording's log-mel ``(frames, mels)``: shape ``(excerpts, mels, frames)``."""
        frames = frames_of(self.how.excerpt_seconds, self.frontend)
        heard = torch.from_numpy(spread(log_mel, frames=frames, count=self.how.excerpts))
        return heard.to(self.device).transpose(1, 2).float()

    def heard_seconds(self, waveform: Tensor) -> float:
        """How much of the waveform the excerpts cover; where they overlap it counts once."""
        return min(self._seconds(waveform), self.how.excerpts * self.how.excerpt_seconds)

    def _one(self, inputs: Inputs) -> tuple[Any, Any, Any]:
        if inputs.log_mel is None:
            raise ModelError("A network answers by log-mels; this recording comes without one.")
        excerpts = self.excerpts(inputs.log_mel)
        with torch.inference_mode():
            told = [network(excerpts) for network in self.networks]
            logs = torch.stack([logits.double().log_softmax(dim=1).mean(dim=0) for logits, _, _ in told])
            shares = torch.stack([tags.double().sigmoid().mean(dim=0) for _, tags, _ in told])
            place = told[0][2].double().mean(dim=0)
        parts = logs.mean(dim=0).softmax(dim=0), shares.mean(dim=0), place
        return tuple(part.cpu().numpy() for part in parts)  # type: ignore[return-value]  # three of them

    def _settings(self) -> dict[str, Any]:
        first = self.networks[0]
        return {"network": to_dict(self.how), "places": 0 if first.place is None else first.place.out_features}

    def _save_weights(self, folder: Path) -> None:
        # By way of memory: given a path, torch writes the file's name into it, and equal weights would differ in bytes.
        content = io.BytesIO()
        torch.save([_on_cpu(network) for network in self.networks], content)
        with replacing(folder / "network.pt") as part:
            part.write_bytes(content.getvalue())

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any], common: dict[str, Any], device: str) -> Self:
        """From a folder; called by `earmark.model.predictor.load_predictor`."""
        how = from_dict(Network, about["network"], where=f"{folder}/predictor.json: network")
        device = chosen_device(device)
        networks = []
        for weights in torch.load(folder / "network.pt", weights_only=True, map_location="cpu"):
            network = MusicNetwork(
                how,
                mels=common["frontend"].mels,
                classes=len(common["labels"]),
                tags=len(common["tags"]),
                places=about["places"],
            )
            network.load_state_dict(weights)
            networks.append(network.eval().to(device))
        return cls(**common, networks=tuple(networks), how=how, device=device)


def chosen_device(device: str) -> str:
    """``auto`` as the GPU if there is one, else the processor; any other as it is."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _on_cpu(network: MusicNetwork) -> dict[str, Tensor]:
    # A copy in the plain order: of some shapes torch calls two orders of strides contiguous, and would write either.
    plain = torch.contiguous_format
    return {name: value.detach().cpu().clone(memory_format=plain) for name, value in network.state_dict().items()}
