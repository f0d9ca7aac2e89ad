"""The API document is the API: equal to the routes and types, and every request made from it is answered."""

from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.http.app import OPERATIONS
from service.http.openapi import document
from service.http.pages import PAGES
from tests.support import ROOT, NodeProcess

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_committed_document_is_the_one_made_from_routes_and_types() -> None:
    committed = yaml.safe_load((ROOT / "docs/api_spec.yaml").read_text())
    assert committed == document(OPERATIONS, PAGES)


def test_the_node_serves_the_committed_document(node: NodeProcess) -> None:
    assert node.get("/openapi.json").json == yaml.safe_load((ROOT / "docs/api_spec.yaml").read_text())


def test_every_example_in_the_document_is_accepted_as_well_formed(node: NodeProcess) -> None:
    for operation in OPERATIONS:
        assert operation.examples, operation.path
        for example in operation.examples:
            answer = node.post(operation.path, {**example, **({"timeout": 0} if "mode" in example else {})})
            is_made_up = operation.path == "/scripts/activate" and answer.status == 404
            assert answer.status in (200, 409) or is_made_up, (operation.path, example, answer)


def _paths() -> list[str]:
    """All but the document's own path, which schemathesis leaves out and another test compares byte for byte, and the
    stream of events, which does not end: test_events.py and test_bad_input.py are about that one."""
    return [entry.path for entry in (*OPERATIONS, *PAGES) if entry.path not in ("/openapi.json", "/events")]


@pytest.mark.parametrize("path", _paths())
def test_generated_requests_never_get_a_5xx_nor_an_undocumented_answer(node: NodeProcess, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{node.url}/openapi.json")
    operations: Any = schema.get_all_operations()
    (operation,) = (found.ok() for found in operations if found.ok().path == path)

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def every_request_is_answered(case: Any) -> None:
        if path == "/lock/acquire" and isinstance(case.body, dict):
            # Names repeat from case to case, and what one holds the next would wait for.
            case.body.setdefault("timeout", 0)
            assume(not isinstance(case.body["timeout"], int | float) or case.body["timeout"] <= 0)
        case.call_and_validate(checks=CHECKS)

    every_request_is_answered()
