"""expectations.yaml: the suites of Great Expectations that the team edits, read and checked.

The file's own head describes it. Whether an expectation is one of Great Expectations', has the arguments that it needs
and finds its columns, `earmark.adapters.expectations` asks Great Expectations itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.adapters.sentences import Template
from earmark.errors import ParamsError
from earmark.files import Lined, read_yaml

SUITES = {
    "tracks": "Each track by itself",
    "genres": "Enough to learn each genre from",
    "splits": "Nothing on two sides of the split",
    "catalogue": "What is left, as a whole",
}
FEEDBACK_SUITES = {
    "events": "Each event by itself",
    "listening": "What a listener did in a day",
}
SEVERITIES = ("critical", "warning", "info")

_ALL = (*SUITES, *FEEDBACK_SUITES)

_KINDS: dict[str, type] = {
    "name": str,
    "type": str,
    "kwargs": dict,
    "severity": str,
    "notes": str,
    "reason": str,
    "when": str,
    "meta": dict,
}
_UNIQUE = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")


@dataclass(frozen=True)
class Rule:
    """One named expectation.

    Attributes:
        name: Unique in the whole file.
        suite: A name in `SUITES` or `FEEDBACK_SUITES`.
        type: Great Expectations' name for it, such as ``expect_column_values_to_be_between``.
        kwargs: Its arguments; ``{"$PARAMETER": name}`` stands for a parameter.
        severity: ``critical``, ``warning`` or ``info``.
        demands: The rule in words.
        reason: What the owner of an offending row is told.
        applies: Whether its ``when`` holds.
        meta: The team's own, which Great Expectations keeps.
        where: The place in the file, for errors.
    """

    name: str
    suite: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    demands: str
    reason: Template
    applies: bool
    meta: Mapping[str, Any]
    where: str

    @property
    def spares_first(self) -> tuple[str, ...]:
        """The columns whose first of equal values is kept while the others are refused; none for other rules."""
        if self.type not in _UNIQUE:
            return ()
        return tuple(self.kwargs.get("column_list") or [self.kwargs["column"]])


def read_suites(
    path: Path, parameters: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], section: str = "validation"
) -> list[Rule]:
    """The rules of some suites at ``path``, in the order in which they are judged.

    Args:
        path: expectations.yaml.
        parameters: Those of ``section``, to which ``when`` and texts may refer.
        tables: Suite → a small table with its columns, to which reasons may refer; other suites are passed over.
        section: Of params.yaml.

    Raises:
        ParamsError: Something is wrong with an entry; the message names it and its line.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ParamsError(f"{path} should hold the suites {', '.join(_ALL)}, but holds {content!r}.")
    if strangers := [str(key) for key in content if key not in _ALL]:
        raise ParamsError(f"{path}: there is no suite {', '.join(strangers)}. The suites are {', '.join(_ALL)}.")
    rules: dict[str, Rule] = {}
    for suite in tables:
        entries = content.get(suite) or []
        if not isinstance(entries, list):
            raise ParamsError(
                f"{path}: the suite {suite} should be a list of expectations, each with a dash before it."
            )
        for number, entry in enumerate(entries, start=1):
            where = f"{path}, suite {suite}, entry {number}"
            rule = _Entry(entry, suite, where, section).rule(parameters, tables[suite])
            if rule.name in rules:
                raise ParamsError(f"{rule.where}: the name is taken: {rules[rule.name].where}. Names are unique.")
            rules[rule.name] = rule
    return list(rules.values())


class _Entry:
    """One entry of the file, on its way to a `Rule`."""

    def __init__(self, content: Any, suite: str, where: str, section: str) -> None:
        if not isinstance(content, Lined):
            raise ParamsError(f"{where} should be an expectation with name, type and kwargs, but is {content!r}.")
        self.content, self.suite, self.section = content, suite, section
        self.where = f"{where} ({content.get('name', 'without a name')}, line {content.line})"
        if unknown := [str(key) for key in content if key not in _KINDS]:
            raise self.wrong(f"unknown key {', '.join(unknown)}. Known here: {', '.join(_KINDS)}.")
        if missing := [key for key in ("name", "type") if not content.get(key)]:
            raise self.wrong(f"it has no {' and no '.join(missing)}.")
        for key, value in content.items():
            if not isinstance(value, _KINDS[key]):
                raise self.wrong(f"{key} should be {'a mapping' if _KINDS[key] is dict else 'text'}, but is {value!r}.")

    def rule(self, parameters: Mapping[str, Any], table: pd.DataFrame) -> Rule:
        severity = self.content.get("severity", "critical")
        if severity not in SEVERITIES:
            raise self.wrong(f"severity is {severity!r}; it must be one of {', '.join(SEVERITIES)}.")
        when = self.content.get("when")
        if when is not None and not isinstance(parameters.get(when), bool):
            switches = ", ".join(name for name, value in parameters.items() if isinstance(value, bool))
            raise self.wrong(
                f"when is {when!r}; it must be a true or false of {self.section} in params.yaml: {switches}."
            )
        kwargs = self.content.get("kwargs", {})
        demands, (said,) = self._text("notes", "", parameters)
        # A reason may also speak of the row's values, of the twin that stays, and of what a whole column showed.
        row = {str(name): table[name].iloc[0] for name in table.columns}
        plain = _plain_reason(kwargs, list(table.columns)) or self.content["name"].replace("_", " ")
        reason, _ = self._text("reason", plain, {"first": "a", "observed": 1.0, **parameters, **row})
        return Rule(
            name=self.content["name"],
            suite=self.suite,
            type=self.content["type"],
            kwargs=kwargs,
            severity=severity,
            demands=said if demands.pieces else self.content["type"].replace("_", " "),
            reason=reason,
            applies=when is None or bool(parameters[when]),
            meta=self.content.get("meta", {}),
            where=self.where,
        )

    def _text(self, key: str, default: str, values: Mapping[str, Any]) -> tuple[Template, list[str]]:
        """The template under ``key``, and filled with ``values`` for a try."""
        try:
            template = Template.parse(self.content.get(key, default))
            if unknown := [name for name in template.names if name not in values]:
                raise self.wrong(f"{key} speaks of {{{unknown[0]}}}, but there is only: {', '.join(values)}.")
            return template, template.fill({name: [values[name]] for name in template.names}, 1)
        except (ValueError, TypeError) as error:
            raise self.wrong(f"{key} cannot be filled in: {error}.") from None

    def wrong(self, what: str) -> ParamsError:
        return ParamsError(f"{self.where}: {what}")


def _plain_reason(kwargs: Mapping[str, Any], columns: list[str]) -> str:
    """The reason of a rule that has none: what stands in its columns."""
    named = [kwargs.get(key) for key in ("column", "column_A", "column_B")] + list(kwargs.get("column_list", []))
    return ", ".join(f"{name} is {{{name}}}" for name in named if name in columns)
