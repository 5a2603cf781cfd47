"""The paths keep what their OpenAPI document promises, whatever is sent: Schemathesis makes the requests."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serve.call import Answer
from serve.incoming import JsonBody
from tests.serve.here import paths, served

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def document(bundle, no_ray):
    api, _ = paths(served(bundle, readers=1))
    return schemathesis.openapi.from_asgi("/openapi.json", api)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@pytest.mark.timeout(300)
def test_answers_are_those_that_are_documented(case):
    response = case.call()
    case.validate_response(response, checks=CHECKS)


def test_images_are_asked_about_and_answered_by_example(document):
    paths = document.raw_schema["paths"]
    assert set(paths) == {
        "/v1/recognize",
        "/v1/recognizers",
        "/v1/vocabulary",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    recognize = paths["/v1/recognize"]["post"]
    body, answers = recognize["requestBody"]["content"], recognize["responses"]
    assert set(body) == {"image/*", "application/octet-stream", "multipart/form-data", "application/json"}
    for each in body["application/json"]["examples"].values():
        JsonBody.model_validate(each["value"])
    Answer.model_validate(answers["200"]["content"]["application/json"]["example"])
    assert set(answers) > {"200", "413", "415", "422", "429", "503", "504"}
