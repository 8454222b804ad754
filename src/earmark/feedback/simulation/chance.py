"""Where chance comes from: a generator for each purpose, so that one changed number does not reshuffle everything."""

from typing import Literal, get_args

import numpy as np

Purpose = Literal[
    "songs", "people", "tastes", "activity", "meetings", "likes", "repeats", "plays", "sessions", "saying", "bots",
    "writing",
]  # fmt: skip
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def generator(seed: int, purpose: Purpose, part: int = 0) -> np.random.Generator:
    """The generator of one purpose.

    Args:
        seed: Of the world.
        purpose: For what.
        part: Which part of the listeners, where they are drawn part by part.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_PURPOSES.index(purpose), part)))
