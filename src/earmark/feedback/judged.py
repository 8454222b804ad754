"""The two tables that the feedback's rules in expectations.yaml are about: events, and listeners' days.

As in `earmark.catalogue.judged`, a missing value is null, and Great Expectations passes over it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

_HOUR_US = 3_600_000_000
_YEAR_US = 365.2425 * 86_400_000_000


@dataclass(frozen=True)
class Verdict:
    """Rows of a table that break a rule.

    Attributes:
        rule: Its name.
        severity: ``critical``, ``warning`` or ``info``.
        rows: Their positions, from 0.
        reasons: One for each.
    """

    rule: str
    severity: str
    rows: npt.NDArray[np.int64]
    reasons: Sequence[str]


Judge = Callable[[str, pd.DataFrame], list[Verdict]]  # suite, table


def event_table(
    kinds: Sequence[str],
    at_us: npt.NDArray[np.float64],
    ms_played: npt.NDArray[np.float64],
    durations_s: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    times: npt.NDArray[np.int64],
    word_lengths: npt.NDArray[np.float64],
    named: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    now_us: int,
) -> pd.DataFrame:
    """One row an event, as expectations.yaml describes it; arguments of shape ``(events,)``, NaN where not known."""
    return pd.DataFrame(
        {
            "kind": kinds,
            "year": 1970.0 + at_us / _YEAR_US,
            "ahead_hours": (at_us - now_us) / _HOUR_US,
            "played_hours": ms_played / times / 3_600_000.0,
            "played_share": ms_played / times / 1000.0 / durations_s,
            "times": times,
            "value": values,
            "word_length": word_lengths,
            "named": named,
            "known": known,
        }
    )


def listening_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each listener and day.

    Args:
        rows: Plays and skips, as `Store.listening` gives them.

    Returns:
        The columns that expectations.yaml names, and ``day_number`` (since 1970), sorted by day and listener.
    """
    rows = rows.assign(hour=(rows["at_us"] - rows["day"] * 24 * _HOUR_US) // _HOUR_US)
    key = ["day", "listener"]
    table = rows.groupby(key).agg(plays=("times", "sum"), ms=("ms_played", "sum"), hours_awake=("hour", "nunique"))
    hourly = rows.groupby([*key, "hour"])["times"].sum().groupby(level=[0, 1]).max()
    repeats = rows.groupby([*key, "song"])["times"].sum().groupby(level=[0, 1]).max()
    days = table.index.get_level_values("day").to_numpy()
    return pd.DataFrame(
        {
            "listener": table.index.get_level_values("listener").to_numpy(),
            "day": (np.datetime64("1970-01-01") + days.astype("timedelta64[D]")).astype(str),
            "day_number": days,
            "plays": table["plays"].to_numpy(),
            "hours": table["ms"].to_numpy() / 3_600_000.0,
            "plays_per_hour": hourly.to_numpy(),
            "repeats": repeats.to_numpy(),
            "hours_awake": table["hours_awake"].to_numpy(),
        }
    )


def feedback_samples() -> dict[str, pd.DataFrame]:
    """Both tables, small and made up, with all their columns and types: to try a rule on before anything runs."""
    one, count = np.array([1.0]), np.array([1])
    return {
        "events": event_table(
            ["play"], one * 1.7e15, one * 1000, one * 200, one, count, one, count, count, 1_700_000_000_000_000
        ),
        "listening": listening_table(
            pd.DataFrame(
                {
                    "day": [19_000],
                    "listener": 1,
                    "at_us": 19_000 * 24 * _HOUR_US,
                    "song": 2,
                    "times": 3,
                    "ms_played": 4.0,
                }
            )
        ),
    }
