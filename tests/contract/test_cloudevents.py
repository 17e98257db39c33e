"""Our facts in the hands of the official CloudEvents SDK, and the SDK's in ours."""

import json
from typing import Any

import pytest
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from contract import asyncapi
from contract.envelope import Envelope, open_envelope
from contract.events import TYPES

MESSAGES = asyncapi.document()["components"]["messages"]
OURS = sorted(set(Envelope.__struct_fields__) - {"data"})


def example(name: str) -> dict[str, Any]:
    """Return the published example of an event."""
    found: dict[str, Any] = MESSAGES[name]["examples"][0]["payload"]
    return found


@pytest.mark.parametrize("name", TYPES)
def test_the_sdk_reads_our_facts(name: str) -> None:
    """Every kind of fact is a CloudEvent to the SDK: each attribute and all data arrive as they were sent."""
    ours = example(name)
    theirs = JSONFormat().read(None, json.dumps(ours).encode())
    assert isinstance(theirs, CloudEvent)
    assert sorted(theirs.get_attributes()) == OURS
    assert theirs.get_data() == ours["data"]
    assert (theirs.get_id(), theirs.get_type(), theirs.get_source()) == (ours["id"], name, ours["source"])
    time = theirs.get_time()
    assert time is not None
    assert time.isoformat(timespec="milliseconds").replace("+00:00", "Z") == ours["time"]
    for extension in ("sequence", "stream", "bootid", "monotonicms", "clocksynced"):
        assert theirs.get_extension(extension) == ours[extension]


@pytest.mark.parametrize("name", TYPES)
def test_we_read_what_the_sdk_writes(name: str) -> None:
    """A fact that the SDK has written is read here, as the same event."""
    ours = json.dumps(example(name)).encode()
    written = JSONFormat().write(JSONFormat().read(None, ours))
    assert open_envelope(written).fact() == open_envelope(ours).fact()
    assert open_envelope(written).sequence_number == open_envelope(ours).sequence_number


def test_the_sdk_would_refuse_what_is_none() -> None:
    """The SDK checks: an event without a source, or with an extension that may not be, is not taken."""
    good = example("vn.motcua.rating.given.v1")
    without = {key: value for key, value in good.items() if key != "source"}
    for wrong in (without, good | {"Wrong-Name": "x"}):
        with pytest.raises(CloudEventValidationError):
            JSONFormat().read(None, json.dumps(wrong).encode())
