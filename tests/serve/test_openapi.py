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


def test_every_path_has_an_example_or_needs_none(document):
    paths = document.raw_schema["paths"]
    assert set(paths) == {
        "/v1/recognize",
        "/v1/recognizers",
        "/v1/vocabulary",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    body = paths["/v1/recognize"]["post"]["requestBody"]["content"]
    assert set(body) == {"image/*", "application/octet-stream", "multipart/form-data", "application/json"}
    assert body["application/json"]["examples"]
