"""What the webhook says, in the hands of the official CloudEvents SDK."""

import json

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from center.fleet.alerts import Alert
from center.fleet.webhook import message

ALERT = Alert(
    id="0197-a", kind="silent", station="q03", device="rating", detail="", begun_at=1_763_859_723_000,
    ended_at=1_763_859_999_000,
)  # fmt: skip


@pytest.mark.parametrize(("ended", "word"), [(False, "began"), (True, "ended")])
def test_the_sdk_reads_an_alert(ended: bool, word: str) -> None:
    """An alert's begin and its end are two CloudEvents, each with an id of its own."""
    event_id, body = message(ALERT, center="bentre", ended=ended)
    event = JSONFormat().read(None, body)
    assert isinstance(event, CloudEvent)
    assert (event.get_id(), event.get_type()) == (event_id, f"vn.motcua.alert.{word}.v1")
    assert event.get_source() == "/bentre"
    assert event.get_data() == json.loads(body)["data"]
    assert event.get_time() is not None
