"""Conditions: everything about a clip that is no matter of style, drawn from the same ranges for every style.

A catalogue of the real world is recorded by many hands in many rooms. So that style has to be learnt from the music,
tempo, key, instruments, touch, room, tone colour, noise, level and the place in the piece are drawn from ``seed`` and
the piece's name alone, from the same ranges for all.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

# General MIDI programs, counted from 0: one pool for every style.
PROGRAMS = (
    *(0, 6),  # piano, harpsichord
    *(16, 19, 21),  # electric organ, pipe organ, accordion
    *(24, 46),  # guitar, harp
    *(40, 48),  # violin, strings
    *(68, 71, 73),  # oboe, clarinet, flute (the soundfont's saxophones lack notes)
)

BEATS_PER_MINUTE = (80.0, 112.0)
SEMITONES = (-4, 4)
ONE_INSTRUMENT_SHARE = 0.5  # of the clips: all parts on one instrument; in the others each part has its own
LEVEL_DBFS = (-38.0, -24.0)
SIGNAL_TO_NOISE_DB = (24.0, 48.0)
NOISE_SLOPE_DB_PER_OCTAVE = (-6.0, 0.0)
REVERBERATION_S = (0.2, 1.0)
REVERBERATION_SHARE = (0.0, 0.2)
TILT_DB_PER_OCTAVE = (-1.5, 1.5)
VELOCITY = (55.0, 105.0)
VELOCITY_SPREAD = (2.0, 8.0)
TIMING_SPREAD_S = (0.001, 0.008)
ARTICULATION = (0.8, 1.0)

# Instruments are drawn for more parts than a score has, so that the number of parts changes no other draw.
MOST_PARTS = 16


@dataclass(frozen=True)
class Conditions:
    """What was drawn for one piece.

    Attributes:
        beats_per_minute: Tempo of the tapped beat.
        semitones: Transposition.
        programs: General MIDI program of each part.
        place: Where in the piece the clip begins: 0 its beginning, 1 the last place from which the clip still fits.
        velocity: Mean MIDI velocity; ``velocity_spread`` is its deviation from note to note.
        timing_spread_s: Deviation of each onset from strict time, in seconds.
        articulation: Share of its printed length for which a note is held.
        reverberation_s: Time in which the room's sound falls by 60 dB.
        reverberation_share: Energy of the room's sound relative to the direct sound.
        tilt_db_per_octave: Slope of the tone control, around 1 kHz.
        signal_to_noise_db: Level of the music above the noise.
        noise_slope_db_per_octave: 0 is white noise, -3 pink, -6 brown.
        level_dbfs: RMS level of the finished clip.
        noise_seed: Seeds what is left: note deviations, room and noise.
    """

    beats_per_minute: float
    semitones: int
    programs: tuple[int, ...]
    place: float
    velocity: float
    velocity_spread: float
    timing_spread_s: float
    articulation: float
    reverberation_s: float
    reverberation_share: float
    tilt_db_per_octave: float
    signal_to_noise_db: float
    noise_slope_db_per_octave: float
    level_dbfs: float
    noise_seed: int


def draw(seed: int, piece_id: str) -> Conditions:
    """The conditions of one piece, from ``seed`` and ``piece_id`` alone."""
    digest = hashlib.sha256(f"{seed} {piece_id} conditions".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:16], "big"))

    def between(low_high: tuple[float, float]) -> float:
        return float(random.uniform(*low_high))

    programs = tuple(int(program) for program in random.choice(PROGRAMS, size=MOST_PARTS))
    if random.random() < ONE_INSTRUMENT_SHARE:
        programs = programs[:1] * MOST_PARTS
    return Conditions(
        beats_per_minute=float(np.exp(random.uniform(*np.log(BEATS_PER_MINUTE)))),
        semitones=int(random.integers(SEMITONES[0], SEMITONES[1] + 1)),
        programs=programs,
        place=float(random.random()),
        velocity=between(VELOCITY),
        velocity_spread=between(VELOCITY_SPREAD),
        timing_spread_s=between(TIMING_SPREAD_S),
        articulation=between(ARTICULATION),
        reverberation_s=between(REVERBERATION_S),
        reverberation_share=between(REVERBERATION_SHARE),
        tilt_db_per_octave=between(TILT_DB_PER_OCTAVE),
        signal_to_noise_db=between(SIGNAL_TO_NOISE_DB),
        noise_slope_db_per_octave=between(NOISE_SLOPE_DB_PER_OCTAVE),
        level_dbfs=between(LEVEL_DBFS),
        noise_seed=int.from_bytes(digest[16:24], "big"),
    )
