"""Tags beside what limits them: each correlation with its interval, and as a share of its noise ceiling."""

import numpy as np
import pandas as pd

from earmark.model.answers import Floats
from earmark.model.evaluation.draws import Draws
from earmark.model.evaluation.tag_scores import Told, tag_table
from earmark.model.evaluation.tested import Tested
from earmark.model.metrics import Score
from earmark.params import Evaluation


def told_of(tested: Tested, ceilings: dict[str, float]) -> Told:
    """Of the test songs, what listeners tell, and what the models do."""
    answers = {kind: answer.shares for kind, answer in tested.answers.items()}
    return Told(tested.tags, tested.known, answers, tested.groups, ceilings)


def tag_report(tested: Tested, told: Told, how: Evaluation) -> pd.DataFrame:
    """`tag_table`, and what surrounds each r.

    Returns:
        ``model, tag, songs, r, ceiling``; ``r_low`` and ``r_high``; ``of_ceiling`` with its ends, r as a share of its
        ceiling, which is taken as known; ``interval_coverage`` with its ends and ``interval_width``: how often the
        tag's intervals hold what is observed, and how wide they are. No number where there is none.
    """
    table = tag_table(told)
    draws = Draws(tested.groups, how) if len(table) else None
    columns = {name: place for place, name in enumerate(told.names)}
    rows = []
    for row in table.itertuples():
        assert draws is not None
        column, kind = columns[str(row.tag)], str(row.model)
        share, weight = (told.known[:, side, column].astype(float) for side in (0, 1))
        r = _correlation(draws, share, told.answers[kind][:, column], weight)
        ceiling = float(row.ceiling) if float(row.ceiling) > 0 else float("nan")  # type: ignore[arg-type]
        found = {"r_low": r.low, "r_high": r.high}
        found |= {f"of_ceiling{end}": value / ceiling for end, value in _ends(r).items()}
        found |= _intervals(tested, kind, column, share, weight, draws)
        rows.append(found)
    added = pd.DataFrame(rows, columns=list(rows[0]) if rows else _COLUMNS)
    return pd.concat([table, added], axis=1)


_COLUMNS = ["r_low", "r_high", "of_ceiling", "of_ceiling_low", "of_ceiling_high"]
_COLUMNS += ["interval_coverage", "interval_coverage_low", "interval_coverage_high", "interval_width"]


def _ends(score: Score) -> dict[str, float]:
    return {"": score.value, "_low": score.low, "_high": score.high}


def _correlation(draws: Draws, share: Floats, answer: Floats, weight: Floats) -> Score:
    """Weighted Pearson correlation, from sums; 0 where one of them is always the same, as in `tag_scores`."""
    left, right = share - np.average(share, weights=weight), answer - np.average(answer, weights=weight)
    parts = [np.ones(len(share)), left, right, left * left, right * right, left * right]

    def r(sums: Floats) -> Floats:
        total, x, y, xx, yy, xy = (sums[..., [place]] for place in range(6))
        spread = np.sqrt((xx / total - (x / total) ** 2).clip(0) * (yy / total - (y / total) ** 2).clip(0))
        return np.where(spread > 1e-12, (xy / total - x * y / total**2) / spread, np.where(total > 0, 0.0, np.nan))

    (found,) = draws.scores(r, np.stack(parts, axis=1) * weight[:, None])
    return found


def _intervals(tested: Tested, kind: str, column: int, share: Floats, weight: Floats, draws: Draws) -> dict[str, float]:
    calibration = tested.calibrations[kind]
    rule = None if calibration is None else calibration.intervals
    if rule is None or rule.multiples[column] is None:
        return dict.fromkeys(_COLUMNS[5:], float("nan"))
    low, high = (ends[:, column] for ends in rule.of(tested.answers[kind].shares))
    there = (weight > 0).astype(float)
    kept = draws.mean(((low <= share) & (share <= high)).astype(float), there)
    return {**kept.flat("interval_coverage"), "interval_width": float((high - low)[there > 0].mean())}
