"""Listeners who are nobody: each plays a handful of songs over and over, so that they look popular.

One kind plays for four days without sleep, another thousands of times an hour for a while on four days, in parallel;
both stop when a play counts, after half a minute, where a song is longer.
"""

import numpy as np
import numpy.typing as npt

from earmark.feedback.simulation.chance import generator
from earmark.feedback.simulation.period import DAY_US, SECOND_US, START_US
from earmark.params import Listeners

PUSHED = 2  # songs of a bot
_DAYS = 4
_A_DAY = 700  # plays
_BETWEEN_S = (123, 2)  # plays of a sleepless bot; of a hasty one
_COUNTED_MS = 31_000  # services count a play from 30 s on

Ints = npt.NDArray[np.int64]


def bot_plays(
    params: Listeners, duration_ms: npt.NDArray[np.float64], candidates: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """All plays of the bots, in order of bot and time.

    Args:
        params: The section ``listeners``.
        duration_ms: Of each song, shape ``(songs,)``.
        candidates: The songs that may be pushed.

    Returns:
        Each of shape ``(plays,)``: the bot, from 0; the song; when it ends, in microseconds since 1970, no second twice
        for one bot; for how many milliseconds it sounds.
    """
    random = generator(params.seed, "bots")
    play, nothing = np.arange(_DAYS * _A_DAY), np.array([], dtype=np.int64)
    bots, songs, ends = [nothing], [nothing], [nothing]
    for bot in range(params.bots if len(candidates) else 0):
        pushed = random.choice(candidates, min(PUSHED, len(candidates)), replace=False)
        first_day = int(random.integers(max(1, params.days - _DAYS)))
        between, day = _BETWEEN_S[bot % 2], play // _A_DAY
        within = SECOND_US * (between * (play % _A_DAY) + int(random.integers(60)))
        bots.append(np.full(len(play), bot))
        songs.append(pushed[random.integers(len(pushed), size=len(play))])
        ends.append(START_US + (first_day + day) * DAY_US + within)
    song = np.concatenate(songs)
    ms = np.minimum(duration_ms[song], _COUNTED_MS).astype(np.int64)
    return np.concatenate(bots), song, np.concatenate(ends), ms
