"""How much of a recording is cut flat at full scale.

A clipped peak is a run of samples at the ceiling. Three in a row is what Audacity's *Find Clipping* and the flat factor
of SoX and FFmpeg (``astats``) look for too. Two things are added, so that loud is not taken for clipped:

- the ceiling is the recording's own highest sample, but not below 0.99 and not above 1: quieter tops are no clipping,
  and what a lossy decoder gives beyond full scale is cut there by whoever plays it, `earmark.audio.decode` included;
- the signal falls away from the run at one end at least. The round top of a slow wave also stays within one step of its
  peak for a few samples, but then falls, like a parabola, by less than four steps in one.

What was clipped before a lossy encoder is found in part: it turns flat tops into ripples about full scale, of which the
longer waves count.
"""

import numpy as np
import numpy.typing as npt

_LOWEST_CEILING = 0.99
_STEP = 1 / 2**15  # of 16 bits; 32,767 and -32,768 are both full scale
_SHORTEST_RUN = 3  # samples


class FlatTops:
    """Counts, piece by piece, the samples in flat tops of one polarity."""

    def __init__(self) -> None:
        self._ceiling = _LOWEST_CEILING
        self.samples = 0  # over all channels

    def add(self, samples: npt.NDArray[np.float32], peak: float) -> None:
        """The next piece, shape ``(channels, time)``, whose highest sample is ``peak``."""
        peak = min(1.0, peak)
        if peak < self._ceiling - _STEP:
            return
        if peak > self._ceiling + _STEP:  # what was flat before was so below the ceiling
            self.samples = 0
        self._ceiling = max(self._ceiling, peak)
        self.samples += sum(_in_flat_tops(channel, self._ceiling) for channel in samples)


def _in_flat_tops(channel: npt.NDArray[np.float32], ceiling: float) -> int:
    """Of a piece of one channel, shape ``(time,)``; a run cut in two by the piece's end counts as two."""
    high = np.flatnonzero(channel >= ceiling - _STEP)
    if len(high) < _SHORTEST_RUN:
        return 0
    starts = np.flatnonzero(np.diff(high, prepend=-2) > 1)
    lengths = np.diff(starts, append=len(high))
    starts, lengths = high[starts[lengths >= _SHORTEST_RUN]], lengths[lengths >= _SHORTEST_RUN]
    ends = starts + lengths
    fallen = ceiling - 4 * _STEP
    falls = (starts == 0) | (channel[starts - 1] < fallen)
    falls |= (ends == len(channel)) | (channel[ends % len(channel)] < fallen)
    return int(lengths[falls].sum())
