"""The description of the HTTP interface in the hands of a validator that knows OpenAPI."""

import copy
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.center.web.site import Center


def mistakes(document: dict[str, Any]) -> list[str]:
    """Return what is against the specification of OpenAPI 3.1."""
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


def test_the_description_is_valid(center: Center) -> None:
    """By OpenAPI 3.1 there is nothing against it, and the validator would see a mistake."""
    document = center.http.get("/schema/openapi.json").json()
    assert mistakes(document) == []
    wrong = copy.deepcopy(document)
    wrong["paths"]["/healthz"]["get"]["responses"]["200"].pop("description")
    assert mistakes(wrong)
