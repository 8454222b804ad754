"""The OpenAPI page against the real service, by schemathesis: requests that it allows, and such as it does not.

Whatever is sent, the answer has a status, a media type, headers and a shape that /docs.json tells, none blames the
service, and what the page does not allow is refused. That what it allows is answered is asked of all operations but
those that take a recording: which bytes are one, no schema can say.
"""

from collections import Counter, defaultdict

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from serving_tools import tone_wav

from earmark.serving.service import Earmark

SONGS = [tone_wav(1.5), tone_wav(3.0), tone_wav(0.2), tone_wav(3.0)[:9_000]]
RECORDINGS = {"/predict", "/explain", "/similar", "/uploads"}
FEW, MANY = 10, 300

# Nobody can make up the id of a prediction, an event or a task that there is; test_endpoints.py asks for such.
NEVER_FOUND = {
    *(f"{method} /predict_long{step}" for method, step in (("POST", ""), ("POST", "/submit"), ("POST", "/retry"))),
    *("GET /predict_long/status", "GET /predict_long/get", "PUT /predict_long/cancel"),
    *("GET /lineage/{prediction_id}", "GET /feedback/{event_id}", "GET /examples/{name}"),
}

pytestmark = pytest.mark.slow

schemathesis.openapi.format("binary", st.sampled_from(SONGS) | st.binary(max_size=2_000))
page = schemathesis.openapi.from_dict(Earmark.openapi_spec.asdict())
repeatable = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def told(served):
    """Operation → how often it answered with which status."""
    yield defaultdict(Counter)
    for left in served.log.parent.glob(".earmark/service/*/uploads/*"):  # they would take up the room of others
        left.unlink(missing_ok=True)


def ask(case, served, told):
    response = case.call(base_url=str(served.client.base_url))
    told[case.operation.label][response.status_code] += 1
    excluded = [positive_data_acceptance] if case.path in RECORDINGS else []
    if any(isinstance(value, list) and len(value) < 2 for value in fields(case)):
        excluded.append(negative_data_rejection)  # a form has no lists: one of one is that one, of none nothing
    if case.path == "/uploads" and response.status_code == 503:  # so many wait for their tasks by now, and it says so
        assert response.json()["error"]["code"] == "overloaded"
        excluded.append(not_a_server_error)
    case.validate_response(response, excluded_checks=excluded)


def fields(case):
    """What stands in the query, and in the form if it is one."""
    forms = [case.query] + [case.body] * (case.media_type == "multipart/form-data")
    return [value for form in forms if isinstance(form, dict) for value in form.values()]


@page.parametrize()
@settings(repeatable, max_examples=FEW)
def test_answers_are_what_the_page_says(case, served, told):
    ask(case, served, told)


@pytest.mark.long
@page.parametrize()
@settings(repeatable, max_examples=MANY)
def test_very_many_answers_are_what_the_page_says(case, served, told):
    ask(case, served, told)


def test_every_operation_was_asked_for_something_that_it_can_answer(told):
    if not told:
        pytest.skip("the tests above ask")
    # Of those that were asked in this process: several processes may share the tests.
    assert {label for label, statuses in told.items() if not statuses[200]} == NEVER_FOUND & set(told)


def test_the_service_shows_this_very_page(served):
    assert served.client.get("/docs.json").json() == page.raw_schema
