"""The page: what each section says, put into the template beside this file. Titles and names are untrusted text."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from earmark.params import Params
from earmark.stages.report import charts, words
from earmark.stages.report.mistakes import Mistake
from earmark.stages.report.reading import Reports
from earmark.stages.report.sections import (
    features,
    genres,
    heard,
    labels,
    limits,
    listeners,
    promises,
    scores,
    split,
    sure,
)

if TYPE_CHECKING:
    from jinja2 import Template


def page(reports: Reports, mistakes: list[Mistake], params: Params) -> str:
    """One HTML file that needs no other."""
    return _template().render(
        collection=params.catalogue.collection,
        confidence=params.evaluation.confidence,
        metrics=reports.metrics,
        kinds=reports.kinds,
        leader=reports.leader,
        scores=scores(reports),
        genres=genres(reports),
        sure=sure(reports),
        promises=promises(reports),
        listeners=listeners(reports, made_up=params.feedback.snapshot == "songbook"),
        mistakes=[_shown(each, params) for each in mistakes],
        heard=heard(reports),
        features=features(reports),
        labels=labels(reports),
        split=split(reports),
        limits=limits(reports, made_up=params.feedback.snapshot == "songbook"),
    )


def _shown(one: Mistake, params: Params) -> dict[str, Any]:
    heard = (one.start_s, one.start_s + params.evaluation.excerpt_seconds) if one.sound else None
    return {
        **vars(one),
        "bands": charts.bands(one.why, one.said, one.genre),
        "moments": charts.moments(one.why, one.said, one.genre, heard),
        "leans": one.said if one.why.difference > 0 else one.genre,
        "from": words.clock(one.start_s),
    }


@cache
def _template() -> "Template":
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    here = files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name is an error, not a gap on the page
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup((here / "page.css").read_text(encoding="utf-8"))
    environment.globals["about"] = words.ABOUT
    environment.filters["called"] = words.called
    for name in ("called", "first_up", "hundredth", "percent", "points", "number", "interval", "hundredths", "listed"):
        environment.globals[name] = getattr(words, name)
    environment.globals["descriptor"] = words.descriptor
    return environment.get_template("page.html")
