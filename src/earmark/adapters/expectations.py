"""Great Expectations decides what is fit to enter the catalogue, and each refused track gets its reason.

The rules stand in `earmark.adapters.expectation_rules`, in three suites, judged one after the other: `tracks` (each row
by itself), `genres` (is there enough to learn each genre from?), `catalogue` (is what is left fit as a whole?). A row
that breaks a critical rule of the first two is refused with its reason; a critical rule of the third fails the stage;
warnings tell, and never stop. Great Expectations takes seconds to import, so only `judge` imports it.
"""

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.adapters.expectation_rules import Rule, catalogue_rules, genre_rules, track_rules
from earmark.params import Validation
from earmark.stages.validate import QUARANTINE_COLUMNS, Judgement, RuleOutcome

# What the docs, and anybody behind them, may not learn: nothing is sent anywhere, nothing is asked of the network.
_QUIET = {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

# Stands for "the table as a whole" where the index of a row would stand.
_WHOLE = -1


def judge(tracks: pd.DataFrame, validation: Validation, docs: Path) -> Judgement:
    """Judge ``tracks`` and build the Data Docs of it in the folder ``docs``, which is replaced.

    Args:
        tracks: Columns as in `earmark.catalogue.track.SCHEMA`, and ``audio_bytes``, the size of each audio file.
        validation: The limits.
        docs: Opens in a browser at ``docs/index.html``, without a network.
    """
    from earmark.adapters.data_docs import finish

    os.environ.update(_QUIET)
    tracks = _prepared(tracks)
    shutil.rmtree(docs, ignore_errors=True)
    session = _Session(docs)

    row_rules = track_rules(validation)
    broken = session.validate("tracks", tracks, row_rules)
    refusals, rows_by_rule = _refused_rows(tracks, row_rules, broken)
    fit = ~tracks.index.isin({index for index, _, _ in refusals})

    genres = tracks[fit].groupby("genre", as_index=False).agg(tracks=("track_id", "size"), groups=("group", "nunique"))
    set_rules = genre_rules(validation)
    broken_genres = session.validate("genres", genres, set_rules)
    for rule in set_rules:
        for _, genre in genres.loc[broken_genres[rule.name]].iterrows():
            members = tracks.index[fit & (tracks["genre"] == genre["genre"]).to_numpy()]
            refusals += [(int(index), rule, rule.reason(_row(genre))) for index in members]
    accepted = ~tracks.index.isin({index for index, _, _ in refusals})

    left = tracks[accepted]
    whole_rules = catalogue_rules(validation, tracks_in=len(tracks))
    broken_whole = session.validate("catalogue", left, whole_rules)
    totals = {"tracks": len(left), "genres": left["genre"].nunique()}
    problems = tuple(_sentence(rule.reason(totals)) for rule in whole_rules if broken_whole[rule.name])

    counts = {name: len(rows) for name, rows in (rows_by_rule | broken_genres | broken_whole).items()}
    outcomes = {
        rule.name: RuleOutcome(rule.severity, rule.demands, counts[rule.name], counts[rule.name] == 0)
        for rule in [*row_rules, *set_rules, *whole_rules]
    }
    judgement = Judgement(
        accepted=pd.Series(accepted, index=tracks.index, name="accepted"),
        quarantine=_quarantine(tracks, refusals),
        rules=outcomes,
        problems=problems,
    )
    session.build_docs()
    finish(docs, judgement)
    return judgement


def _prepared(tracks: pd.DataFrame) -> pd.DataFrame:
    """``tracks`` with rows numbered from 0, and blanks made missing, so that one rule catches both."""
    tracks = tracks.reset_index(drop=True)
    text = {
        name: tracks[name]
        .astype(object)
        .where(tracks[name].notna() & (tracks[name].astype(str).str.strip() != ""), None)
        for name in ("genre", "group", "artist", "split")
    }
    # A missing hash or duration would slip through: Great Expectations judges only what is there.
    filled = {
        "content_hash": tracks["content_hash"].astype(object).fillna(""),
        "duration_s": tracks["duration_s"].fillna(0.0),
    }
    return tracks.assign(**text, **filled)


Refusal = tuple[int, Rule, str]


def _refused_rows(
    tracks: pd.DataFrame, rules: list[Rule], broken: dict[str, list[int]]
) -> tuple[list[Refusal], dict[str, list[int]]]:
    """Which row is refused by which rule and why, and the offending rows of every rule (warnings too)."""
    offending: dict[str, list[int]] = {rule.name: list(broken[rule.name]) for rule in rules}
    refusals: list[Refusal] = []
    unfit: set[int] = set()
    for rule in sorted(rules, key=lambda rule: rule.spare_first):
        firsts: dict[Any, str] = {}
        if rule.spare_first:
            # Unfit twins do not count: else the copy of a broken track would be lost with it.
            suspects = tracks.loc[sorted(offending[rule.name])]
            suspects = suspects[~suspects.index.isin(unfit)]
            values = suspects[rule.kwargs["column"]]
            firsts = dict(zip(values[::-1], suspects["track_id"][::-1], strict=True))
            offending[rule.name] = [int(index) for index in suspects.index[values.duplicated()]]
        if rule.severity != "critical":
            continue
        for index in offending[rule.name]:
            row = _row(tracks.iloc[index])
            row["first"] = firsts.get(row[rule.kwargs["column"]])
            refusals.append((index, rule, rule.reason(row)))
        unfit.update(offending[rule.name])
    return refusals, offending


def _quarantine(tracks: pd.DataFrame, refusals: Iterable[Refusal]) -> pd.DataFrame:
    rows = [
        (tracks.at[index, "track_id"], rule.name, rule.severity, reason)
        for index, rule, reason in sorted(refusals, key=lambda refusal: refusal[0])
    ]
    return pd.DataFrame(rows, columns=list(QUARANTINE_COLUMNS))


def _row(values: pd.Series) -> dict[str, Any]:
    return {str(name): value for name, value in values.items()}


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


class _Session:
    """One ephemeral context of Great Expectations whose Data Docs go to ``docs``."""

    def __init__(self, docs: Path) -> None:
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        import great_expectations as gx

        self.gx = gx
        self.context = gx.get_context(mode="ephemeral")
        self.context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        for site in list(self.context.variables.data_docs_sites or {}):
            self.context.delete_data_docs_site(site)
        self.context.add_data_docs_site(
            "earmark",
            {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
            },
        )
        self.source = self.context.data_sources.add_pandas("earmark")

    def validate(self, name: str, rows: pd.DataFrame, rules: list[Rule]) -> dict[str, list[int]]:
        """Name of the rule → the index of each row that breaks it; `_WHOLE` alone where the table as a whole does."""
        import great_expectations.expectations as expectations

        suite = self.gx.ExpectationSuite(
            name=name,
            expectations=[
                getattr(expectations, rule.expectation)(
                    **rule.kwargs,
                    severity=rule.severity,
                    meta={"name": rule.name},
                    notes=[f"**{rule.name}** ({rule.severity}): {rule.demands}"],
                )
                for rule in rules
            ],
        )
        batch = self.source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        definition = self.gx.ValidationDefinition(name=name, data=batch, suite=self.context.suites.add(suite))
        checkpoint = self.context.checkpoints.add(
            self.gx.Checkpoint(
                name=name,
                validation_definitions=[self.context.validation_definitions.add(definition)],
                result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
            )
        )
        (outcome,) = checkpoint.run(batch_parameters={"dataframe": rows}).run_results.values()
        return {result.expectation_config.meta["name"]: _offenders(result) for result in outcome.results}

    def build_docs(self) -> None:
        self.context.build_data_docs()


def _offenders(result: Any) -> list[int]:
    if "element_count" in result.result:
        return [int(index) for index in result.result.get("unexpected_index_list") or []]
    if "observed_value" in result.result:
        return [] if result.success else [_WHOLE]
    # An expectation that could not be computed is a fault of the rule, never of the rows.
    raise RuntimeError(f"Great Expectations could not judge {result.expectation_config}: {result.exception_info}")
