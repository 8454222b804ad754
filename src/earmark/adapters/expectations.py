"""The judge of the stage `validate`: the rules of expectations.yaml, by Great Expectations, with a reason each.

The suites are judged one after the other: `tracks` (each row by itself), `genres` (is there enough to learn each genre
from?), `splits` (does the split that these tracks will get keep apart what it must?), `catalogue` (is what is left fit
as a whole?). A row that breaks a critical rule of the first two is refused with its reason; any other broken critical
rule fails the stage; warnings tell, and never stop.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.adapters.data_docs import write_docs
from earmark.adapters.great_expectations import Documents, Finding, Session
from earmark.adapters.suites import Rule, read_suites
from earmark.catalogue.judged import genre_table, joined_tags, samples, split_table, whole_table
from earmark.catalogue.splits import arrange
from earmark.errors import CatalogueError
from earmark.params import Params, Split, to_dict
from earmark.stages.validate import VERDICT_COLUMNS, Judge, Judgement, RuleOutcome

_SHOWN = 3
_NO_TRACK = -1


def judging(path: Path, params: Params) -> Judge:
    """The judge by the rules at ``path``, which are read and tried here.

    Raises:
        ParamsError: Something is wrong with a rule; nothing has been judged or written yet.
    """
    parameters = to_dict(params.validation)
    tables = samples()
    rules = read_suites(path, parameters, tables)
    session = Session(parameters)
    session.check(rules, tables)

    def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
        trial = _Trial(session, rules, tracks)
        judgement, sides = trial.judgement(params.split)
        write_docs(docs, judgement, tracks, sides, names, trial.documents)
        return judgement

    return judge


class _Trial:
    """The judgement of one catalogue, as it grows."""

    def __init__(self, session: Session, rules: Sequence[Rule], tracks: pd.DataFrame) -> None:
        self.session, self.rules, self.tracks = session, rules, tracks
        self.unfit = np.zeros(len(tracks), dtype=bool)
        self.verdicts: list[tuple[Rule, np.ndarray, list[str]]] = []  # rows of tracks, and a reason for each
        self.problems: list[str] = []
        self.outcomes: dict[str, RuleOutcome] = {}
        self.documents: dict[str, Documents] = {}

    def judgement(self, split: Split) -> tuple[Judgement, pd.Series]:
        """All suites, in their order; and the side of each accepted track (none at all where no split is possible)."""
        self._judge_tracks()
        self._judge_genres()
        accepted = pd.Series(~self.unfit, name="accepted")
        sides = self._arranged(split)
        if sides is None:
            sides = pd.Series(dtype="str", index=accepted.index[:0])
        else:
            places = split_table(self.tracks[accepted], sides, exact=split.official == "exact")
            self._judge_rows("splits", places, places["name"])
        self._judge_rows("catalogue", whole_table(self.tracks, accepted), pd.Series(["the catalogue"]))
        return Judgement(
            accepted=accepted,
            quarantine=self._verdicts(critical=True),
            warnings=self._verdicts(critical=False),
            rules={rule.name: self.outcomes.get(rule.name, _not_judged(rule)) for rule in self.rules},
            problems=tuple(self.problems),
        ), sides

    def _judge_tracks(self) -> None:
        table = self.tracks.assign(tags=joined_tags(self.tracks["tags"]))
        findings = self._validate("tracks", table, self.tracks["track_id"])
        # Copies are judged last: one whose twin is unfit stays, else both would be lost.
        for rule in sorted(self._rows_rules(findings), key=lambda rule: bool(rule.spares_first)):
            rows, firsts = findings[rule.name].rows, None
            if rule.spares_first:
                rows, firsts = self._later_twins(rows, rule.spares_first)
            self._blame(rule, rows, self._reasons(rule, table.iloc[rows], firsts), len(rows))

    def _judge_genres(self) -> None:
        fit = self.tracks[~self.unfit]
        genres = genre_table(fit)
        findings = self._validate("genres", genres, genres["genre"])
        for rule in self._rows_rules(findings):
            broken = genres.iloc[findings[rule.name].rows]
            reasons = dict(zip(broken["genre"], self._reasons(rule, broken), strict=True))
            members = fit["genre"][fit["genre"].isin(list(reasons))]
            self._blame(rule, members.index.to_numpy(), members.map(reasons).tolist(), len(reasons))

    def _judge_rows(self, suite: str, table: pd.DataFrame, labels: pd.Series) -> None:
        """A suite whose rows are no tracks: what offends is told, and fails the stage where it is critical."""
        findings = self._validate(suite, table, labels)
        for rule in self._rows_rules(findings):
            self._protest(rule, self._reasons(rule, table.iloc[findings[rule.name].rows]))

    def _arranged(self, split: Split) -> pd.Series | None:
        """The side that each accepted track will get from the stage `split`; None where there can be none."""
        try:
            fit = self.tracks[~self.unfit]
            return arrange(fit, split, fit[["track_id", "duplicate_group"]]).sides
        except CatalogueError as error:
            self.problems.append(str(error))
            return None

    def _validate(self, suite: str, table: pd.DataFrame, labels: pd.Series) -> dict[str, Finding]:
        rules = [rule for rule in self.rules if rule.suite == suite and rule.applies]
        if not rules:
            return {}
        findings, self.documents[suite] = self.session.validate(suite, table, rules, labels)
        for rule in rules:
            if findings[rule.name].whole:
                self._protest(rule, self._observation(rule, findings[rule.name]))
        return findings

    def _rows_rules(self, findings: Mapping[str, Finding]) -> list[Rule]:
        """The rules with ``findings`` that are about rows."""
        return [rule for rule in self.rules if rule.name in findings and not findings[rule.name].whole]

    def _blame(self, rule: Rule, rows: np.ndarray, reasons: list[str], unexpected: int) -> None:
        """These rows of the tracks break ``rule``."""
        self._count(rule, unexpected)
        self.verdicts.append((rule, rows, reasons))
        if rule.severity == "critical":
            self.unfit[rows] = True

    def _protest(self, rule: Rule, reasons: list[str]) -> None:
        """``rule`` is broken by something else than tracks: by a whole column, or by an artist on two sides."""
        self._count(rule, len(reasons))
        if rule.severity != "critical":
            self.verdicts.append((rule, np.full(len(reasons), _NO_TRACK), reasons))
            return
        self.problems += [_sentence(reason) for reason in reasons[:_SHOWN]]
        if len(reasons) > _SHOWN:
            self.problems.append(f"And {len(reasons) - _SHOWN} more by the rule {rule.name}.")

    def _count(self, rule: Rule, unexpected: int) -> None:
        self.outcomes[rule.name] = RuleOutcome(rule.suite, rule.severity, rule.demands, unexpected, unexpected == 0)

    def _later_twins(self, rows: np.ndarray, columns: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
        """Of offending ``rows`` those that have an equal one before them which is fit, and the track_id of that one."""
        suspects = self.tracks.iloc[np.sort(rows[~self.unfit[rows]])]
        later = suspects.duplicated(list(columns)).to_numpy()
        firsts = suspects.groupby(list(columns), sort=False, dropna=False)["track_id"].transform("first")
        return suspects.index.to_numpy()[later], firsts[later].tolist()

    def _reasons(self, rule: Rule, rows: pd.DataFrame, firsts: list[str] | None = None) -> list[str]:
        """What is said of each of ``rows``; ``firsts``: the tracks that stay where these are copies."""
        special = {"first": firsts} if firsts else {}
        return self._filled(
            rule, {name: rows[name].tolist() for name in rule.reason.names if name in rows} | special, len(rows)
        )

    def _observation(self, rule: Rule, finding: Finding) -> list[str]:
        """What is said of a column or table as a whole, if anything."""
        if finding.success:
            return []
        if "observed" in rule.reason.names:
            return self._filled(rule, {"observed": [finding.observed]}, 1)
        return [f"{rule.name}: {rule.demands.rstrip('.')}; found: {finding.observed}"]

    def _filled(self, rule: Rule, values: Mapping[str, Sequence[Any]], count: int) -> list[str]:
        constant = {
            name: [self.session.parameters.get(name)] * count for name in rule.reason.names if name not in values
        }
        return rule.reason.fill({**values, **constant}, count)

    def _verdicts(self, *, critical: bool) -> pd.DataFrame:
        """All verdicts of that kind as a table, in the order of the tracks, then of the rules."""
        order = {rule.name: at for at, rule in enumerate(self.rules)}
        chosen = [verdict for verdict in self.verdicts if (verdict[0].severity == "critical") is critical]
        chosen.sort(key=lambda verdict: order[verdict[0].name])
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(rows for _, rows, _ in chosen)])
        table = pd.DataFrame(
            {
                "track_id": self.tracks["track_id"].reindex(rows).to_numpy(),  # null where it is about no track
                "rule": np.repeat([rule.name for rule, _, _ in chosen], [len(rows) for _, rows, _ in chosen]),
                "severity": np.repeat([rule.severity for rule, _, _ in chosen], [len(rows) for _, rows, _ in chosen]),
                "reason": [reason for _, _, reasons in chosen for reason in reasons],
            },
            columns=list(VERDICT_COLUMNS),
            dtype="str",
        )
        return table.iloc[np.argsort(rows, kind="stable")].reset_index(drop=True)


def _not_judged(rule: Rule) -> RuleOutcome:
    """Its ``when`` does not hold, or there is no split to judge."""
    return RuleOutcome(rule.suite, rule.severity, rule.demands, 0, None)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
