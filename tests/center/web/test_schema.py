"""The HTTP interface against its own description: whatever a program sends, the answer is one that was described."""

import os
from collections import Counter as Tally

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from center.web.gate import COOKIE
from tests.center.web.site import Center

SEED = int(os.environ.get("MOTCUA_SEED", "20261123"))
EXAMPLES = int(os.environ.get("MOTCUA_EXAMPLES", "12"))
ACTIONS = ("open", "call_next", "recall", "start", "finish", "no_show", "park", "pause", "close", "requeue", "cancel")
NOBODY, OFFICER, ADMINISTRATOR = "", "ha-0", "hanh-0"

pytestmark = pytest.mark.long
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)


@pytest.mark.parametrize("token", [NOBODY, OFFICER, ADMINISTRATOR], ids=["nobody", "officer", "administrator"])
def test_every_answer_is_one_that_was_described(center: Center, token: str) -> None:
    """Whoever asks whatever, in form or out of it, gets an answer as the published description has it, never a 500."""
    description = schemathesis.openapi.from_url(f"{center.url}/schema/openapi.json")
    # The stream has no end, and after a logout nobody would be somebody.
    asked = description.exclude(path="/stream").exclude(path="/api/logout")
    cookies = {COOKIE: token} if token else {}
    statuses: Tally[int] = Tally()
    for found in asked.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:

            @seed(SEED)
            @bounded
            @given(
                case=operation.as_strategy(generation_mode=mode), action=st.sampled_from(ACTIONS), real=st.booleans()
            )
            def is_described(case: schemathesis.Case, action: str, real: bool) -> None:
                # What is wrong must stay so. Called within this turn of the loop.
                if real and mode is GenerationMode.POSITIVE:  # noqa: B023
                    meant(case, action)
                answer = case.call(cookies=cookies, timeout=20)
                statuses[answer.status_code] += 1
                # What is in form may still be refused: there may be no such service, or nobody who waits.
                excluded = [positive_data_acceptance]
                if answer.status_code == 413:  # refused, and schemathesis does not count it as that
                    excluded.append(negative_data_rejection)
                case.validate_response(answer, excluded_checks=excluded)

            try:
                is_described()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # it has nothing to get wrong
    print(f"seed {SEED}: {dict(statuses)}")
    assert statuses[200] + statuses[201] > EXAMPLES
    assert sum(statuses[code] for code in (400, 409, 422)) > EXAMPLES
    assert center.hall.alive()


def meant(case: schemathesis.Case, action: str) -> None:
    """Let a case be about things that there are, so that it may be carried out."""
    for name, value in (("counter_id", "q01"), ("action", action), ("station", "q01"), ("device", "rating")):
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = value
    if isinstance(case.body, dict) and "service" in case.body:
        case.body["service"] = "dat-dai"
