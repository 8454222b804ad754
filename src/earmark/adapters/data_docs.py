"""Data Docs that open anywhere: Great Expectations' pages, made to stand on their own, under an index of earmark's.

As rendered, the pages fetch their style, scripts and logo from seven hosts, so that without a network they are bare
text; and each time they have other time stamps and ids in them. Here they get a style of their own, and equal
catalogues give equal files, byte for byte.
"""

import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pandas as pd

from earmark.adapters.data_docs_index import index_page
from earmark.adapters.great_expectations import Documents
from earmark.adapters.suites import SUITES
from earmark.files import write_json
from earmark.stages.validate import Judgement

# Everything that would be fetched, scripts that need what was fetched, and the advertisement at the foot.
_FOREIGN = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<footer>.*?</footer>|<img\b[^>]*greatexpectations[^>]*>|<img\b[^>]*great-expectations[^>]*>",
    re.DOTALL,
)
# Batch markers: a time stamp and Python object names, different at each build and of no use to a reader.
_MORE_INFO = re.compile(
    r'<div id="section-1-content-block-3" class="col-12 p-1" >.*?(?=<div id="section-2")', re.DOTALL
)
# The filter "Failed Only", which needs the scripts.
_ACTIONS = re.compile(
    r'<div class="card mb-3">\s*<div class="card-header p-2">.*?(?=<div class="card d-md-block)', re.DOTALL
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PARAMETER = re.compile(r"\{(?:'|&#39;)\$PARAMETER(?:'|&#39;): (?:'|&#39;)([^'&]*)(?:'|&#39;)\}")
_CRUMB = re.compile(r'(<li class="ge-breadcrumbs-item breadcrumb-item active"[^>]*>).*?(</li>)', re.DOTALL)


def write_docs(
    docs: Path,
    judgement: Judgement,
    tracks: pd.DataFrame,
    sides: pd.Series,
    names: pd.DataFrame,
    documents: Mapping[str, Documents],
) -> None:
    """Write the site into the folder ``docs``, which is replaced.

    Args:
        docs: Gets index.html, validations/SUITE.html, expectations/SUITE.html, results/SUITE.json and their style;
            opens in a browser without a network.
        judgement: What was found.
        tracks: All that were judged, as from `earmark.catalogue.judged.track_table`.
        sides: Of the accepted ones; empty where there is no split.
        names: What became of the genre names, as from `earmark.catalogue.taxonomy.apply_taxonomy`.
        documents: Suite → what Great Expectations says of it; a suite that was not judged is left out.
    """
    pages = {"index.html": index_page(judgement, tracks, sides, names, list(documents))}
    for suite, document in documents.items():
        pages[f"validations/{suite}.html"] = _own(document.validation, suite, "Validation of")
        pages[f"expectations/{suite}.html"] = _own(document.suite, suite, "Suite")
    pages["static/earmark.css"] = (files("earmark.adapters") / "data_docs.css").read_text(encoding="utf-8")

    shutil.rmtree(docs, ignore_errors=True)
    for name, content in pages.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(content, encoding="utf-8")
    for suite, document in documents.items():
        write_json(docs / "results" / f"{suite}.json", document.result)


def _own(page: str, suite: str, kind: str) -> str:
    page = _FOREIGN.sub("", page)
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    page = _MORE_INFO.sub("</div></div>", page)
    page = _CRUMB.sub(rf"\g<1>{kind} {suite}\g<2>", page)
    page = re.sub(r'href="(?:\.\./)+', 'href="../', page)
    page = re.sub(r'href="#"', 'href="../index.html"', page)
    page = re.sub(r"<title>.*?</title>", "", page, flags=re.DOTALL)
    page = page.replace("<h4>Expectation Validation Result</h4>", f"<h4>{SUITES[suite]}</h4>")
    page = page.replace("Data asset: None<br>", f"Data asset: {suite}<br>")
    # A disclosure needs no script: what Bootstrap would unfold is simply shown.
    page = re.sub(r'<p class="m-0">\s*<a data-toggle="collapse".*?</p>', "", page, flags=re.DOTALL)
    page = re.sub(r'<span class="m-0">\s*<a data-toggle="collapse".*?</a>\s*</span>', "", page, flags=re.DOTALL)
    page = _ACTIONS.sub("", page)
    page = _PARAMETER.sub(r"\1", page)
    page = page.replace(
        '<div class="float-left navbar-brand m-0 h-100">', '<div class="navbar-brand">earmark · Data Docs'
    )
    numbers: dict[str, str] = {}
    page = _UUID.sub(lambda match: numbers.setdefault(match[0], f"id-{len(numbers) + 1}"), page)
    head = f'<head>\n<title>{kind} {suite} · earmark</title>\n<link rel="stylesheet" href="../static/earmark.css">'
    page = page.replace("<head>", head, 1)
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"
