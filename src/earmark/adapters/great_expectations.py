"""Great Expectations itself: an expectation from its words, a table judged, the result as pages and as JSON.

It takes seconds to import, so only a `Session` imports it; and it stays silent, on the terminal as on the network.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from earmark.adapters.suites import Rule
from earmark.errors import ParamsError

_QUIET = {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

# Every offending row is needed, but only by its number: of values Great Expectations keeps 200 at most.
_RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """What Great Expectations says of one rule.

    Attributes:
        success: The table satisfies it.
        rows: Positions of the rows that do not; empty where the rule is about a column or the table as a whole.
        whole: Whether it is.
        observed: What was observed then: a number, as a rule.
    """

    success: bool
    rows: np.ndarray
    whole: bool = False
    observed: Any = None


@dataclass(frozen=True)
class Documents:
    """What one suite leaves for readers: ``validation`` and ``suite`` are pages of HTML, ``result`` is plain data."""

    validation: str
    suite: str
    result: dict[str, Any]


class Session:
    """One ephemeral context of Great Expectations."""

    def __init__(self, parameters: Mapping[str, Any], section: str = "validation") -> None:
        os.environ.update(_QUIET)
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        import great_expectations as gx

        self.gx = gx
        self.parameters, self.section = dict(parameters), section
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        self.source = context.data_sources.add_pandas("earmark")
        self.batches: dict[str, Any] = {}

    def check(self, rules: Sequence[Rule], tables: Mapping[str, pd.DataFrame]) -> None:
        """Try each rule on a small table of its suite.

        Raises:
            ParamsError: Great Expectations does not know it, refuses its arguments, or cannot apply it to such a table.
        """
        batches = {suite: self._batch(f"sample of {suite}", table) for suite, table in tables.items()}
        for rule in rules:
            expectation = self._expectation(rule)
            try:
                result = batches[rule.suite].validate(
                    expectation, result_format=_RESULT_FORMAT, expectation_parameters=self.parameters
                )
            except self.gx.exceptions.SuiteParameterError as error:
                raise ParamsError(
                    f"{rule.where}: {error}. Parameters are those of {self.section} in params.yaml: "
                    f"{', '.join(self.parameters)}."
                ) from None
            except self.gx.exceptions.GreatExpectationsError as error:
                raise _impossible(rule, str(error)) from None
            if fault := _fault(result):
                said = f"{fault.rstrip('.')}. A row of this suite has: {', '.join(tables[rule.suite].columns)}."
                raise _impossible(rule, said)

    def validate(
        self, suite: str, table: pd.DataFrame, rules: Sequence[Rule], labels: "pd.Series[str]"
    ) -> tuple[dict[str, Finding], Documents]:
        """Judge ``table``, whose rows are numbered from 0, by ``rules``.

        Args:
            suite: Its name.
            table: One row for each thing that is judged.
            rules: Those that apply.
            labels: What the documents call each row.

        Returns:
            Name of the rule → what was found; and what is to be shown of it.
        """
        outcome, suites = self._outcome(suite, table, rules)
        results = {result.expectation_config.meta["name"]: result for result in outcome.results}
        findings = {rule.name: _finding(results[rule.name], rule) for rule in rules}
        for result in outcome.results:
            result.result = _for_readers(result.result, labels)
        outcome.results = [results[rule.name] for rule in rules]  # it sorts them by column
        return findings, self._documents(outcome, suites)

    def findings(self, suite: str, table: pd.DataFrame, rules: Sequence[Rule]) -> list[tuple[Rule, Finding]]:
        """As `validate`, without the pages: for tables that come in batches."""
        if not rules:
            return []
        outcome = self._outcome(suite, table, rules)[0]
        results = {result.expectation_config.meta["name"]: result for result in outcome.results}
        return [(rule, _finding(results[rule.name], rule)) for rule in rules]

    def _outcome(self, suite: str, table: pd.DataFrame, rules: Sequence[Rule]) -> tuple[Any, Any]:
        suites = self.gx.ExpectationSuite(name=suite, expectations=[self._expectation(rule) for rule in rules])
        batch = self._batch(suite, _needed(table, rules))
        outcome = batch.validate(suites, result_format=_RESULT_FORMAT, expectation_parameters=self.parameters)
        return outcome, suites

    def _batch(self, name: str, table: pd.DataFrame) -> Any:
        if name not in self.batches:
            self.batches[name] = self.source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        return self.batches[name].get_batch(batch_parameters={"dataframe": table})

    def _expectation(self, rule: Rule) -> Any:
        from great_expectations.expectations.registry import get_expectation_impl

        try:
            kind = get_expectation_impl(rule.type)
        except self.gx.exceptions.ExpectationNotFoundError:
            raise ParamsError(
                f"{rule.where}: Great Expectations has no {rule.type!r}. Its gallery names all that it has: "
                "https://greatexpectations.io/expectations/"
            ) from None
        try:
            return kind(
                **rule.kwargs,
                severity=rule.severity,
                meta={**rule.meta, "name": rule.name},
                notes=[f"**{rule.name}** ({rule.severity}): {rule.demands}"],
            )
        except (ValueError, TypeError) as error:
            raise ParamsError(f"{rule.where}: the kwargs of {rule.type} are not in order: {_faults(error)}.") from None

    def _documents(self, outcome: Any, suite: Any) -> Documents:
        from great_expectations.render.renderer import ExpectationSuitePageRenderer, ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        view = DefaultJinjaPageView()
        result = outcome.to_json_dict()
        return Documents(
            validation=view.render(ValidationResultsPageRenderer().render(outcome)),
            suite=view.render(ExpectationSuitePageRenderer().render(suite)),
            result=_plain(
                {key: result[key] for key in ("suite_name", "success", "statistics", "suite_parameters", "results")}
                | {"great_expectations_version": self.gx.__version__}
            ),
        )


def _needed(table: pd.DataFrame, rules: Sequence[Rule]) -> pd.DataFrame:
    """The columns that ``rules`` speak of: Great Expectations copies and hashes all that it is given, several times."""
    if any(rule.type.startswith("expect_table_column") for rule in rules):
        return table
    said = " ".join(json.dumps(dict(rule.kwargs), default=str) for rule in rules)
    return table[[name for name in table.columns if name in said] or [table.columns[0]]]


def _finding(result: Any, rule: Rule) -> Finding:
    if fault := _fault(result):
        raise _impossible(rule, fault)
    if "element_count" not in result.result:
        observed = _plain(result.result.get("observed_value"))
        return Finding(bool(result.success), np.empty(0, dtype=np.int64), True, observed)
    # With `mostly`, few offenders are no offence.
    rows = [] if result.success else result.result.get("unexpected_index_list") or []
    return Finding(bool(result.success), np.asarray(rows, dtype=np.int64))


def _for_readers(result: Mapping[str, Any], labels: "pd.Series[str]") -> dict[str, Any]:
    """A few offenders by name; else the pages would grow with the catalogue."""
    shown = dict(result)
    for key in ("unexpected_index_list", "partial_unexpected_index_list"):
        if shown.get(key) is not None:
            shown[key] = labels.iloc[shown[key][:_SHOWN]].tolist()
    if shown.get("unexpected_list") is not None:
        shown["unexpected_list"] = shown["unexpected_list"][:_SHOWN]
    return {key: _plain(value) for key, value in shown.items()}


def _plain(value: Any) -> Any:
    """``value`` as JSON has it: no NumPy, no NaN, no enumerations, and none of what differs at each run."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if key not in ("batch_id", "id")}
    if isinstance(value, np.ndarray | list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _impossible(rule: Rule, said: str) -> ParamsError:
    return ParamsError(f"{rule.where}: Great Expectations cannot judge by it. {said}")


def _fault(result: Any) -> str | None:
    """Why Great Expectations could not judge, if it could not."""
    info = result.exception_info or {}
    for cause in [info] if "raised_exception" in info else info.values():
        if cause.get("raised_exception"):
            return str(cause.get("exception_message") or "It gives no reason.")
    return None


def _faults(error: Exception) -> str:
    """What pydantic found, without its own names for types."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    faults: dict[str, str] = {}
    for fault in errors():
        faults.setdefault(str(fault["loc"][0]).replace("__root__", "all"), fault["msg"])
    return "; ".join(f"{name}: {said}" for name, said in faults.items())
