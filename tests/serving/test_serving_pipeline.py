"""A recording on its way through a worker."""

import asyncio
from dataclasses import dataclass, field

import pytest
from serving_tools import untrained

from earmark.params import load_params
from earmark.serving.decoding import DecoderDied
from earmark.serving.pipeline import Pipeline
from scratch import CHECKOUT


@dataclass
class Dying:
    """Decoders of which so many die first."""

    times: int
    asked: list[int] = field(default_factory=list)

    async def decode(self, file, *, sample_rate_hz, max_seconds):
        self.asked.append(sample_rate_hz)
        if len(self.asked) <= self.times:
            raise DecoderDied("It died.")
        return Decoded()


class Decoded:
    duration_s = 3.0


def decoded(decoders):
    pipeline = Pipeline(load_params(CHECKOUT / "params.yaml").service, decoders, threads=1)
    try:
        return asyncio.run(pipeline.decode(b"", untrained()))
    finally:
        pipeline.close()


class TestADecoderThatDies:
    def test_a_file_is_given_to_a_second_one(self):
        decoders = Dying(times=1)
        assert isinstance(decoded(decoders), Decoded)
        assert len(decoders.asked) == 2

    def test_but_not_to_a_third(self):
        decoders = Dying(times=2)
        with pytest.raises(DecoderDied):
            decoded(decoders)
        assert len(decoders.asked) == 2
