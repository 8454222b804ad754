"""The judge at the door of the feedback: the suites ``events`` and ``listening`` of expectations.yaml."""

from pathlib import Path

import pandas as pd

from earmark.adapters.great_expectations import Session
from earmark.adapters.suites import read_suites
from earmark.errors import ParamsError
from earmark.feedback.judged import Judge, Verdict, feedback_samples
from earmark.params import Params, to_dict

_SECTION = "feedback"


def judging_feedback(path: Path, params: Params) -> Judge:
    """The judge by the rules at ``path``, which are read and tried here.

    Raises:
        ParamsError: Something is wrong with a rule; nothing has been judged or stored yet.
    """
    parameters = to_dict(params.feedback)
    tables = feedback_samples()
    rules = read_suites(path, parameters, tables, _SECTION)
    session = Session(parameters, _SECTION)
    session.check(rules, tables)
    for suite, table in tables.items():
        for rule, finding in session.findings(suite, table, [rule for rule in rules if rule.suite == suite]):
            if finding.whole:
                raise ParamsError(
                    f"{rule.where}: {rule.type} is about a whole column. Here rows come in batches, so a rule "
                    "has to be about each row."
                )

    def judge(suite: str, table: pd.DataFrame) -> list[Verdict]:
        applied = [rule for rule in rules if rule.suite == suite and rule.applies]
        verdicts = []
        for rule, finding in session.findings(suite, table, applied):
            if not len(finding.rows):
                continue
            broken = table.iloc[finding.rows]
            values = {name: broken[name].tolist() for name in rule.reason.names if name in broken} | {
                name: [parameters.get(name)] * len(broken) for name in rule.reason.names if name not in broken
            }
            verdicts.append(Verdict(rule.name, rule.severity, finding.rows, rule.reason.fill(values, len(broken))))
        return verdicts

    return judge
