"""The written reference says what the types say."""

from pathlib import Path

import pytest

from center.queue.messages import CATALOGUE
from contract import asyncapi, reference
from contract.errors import ContractError
from contract.events import TYPES
from contract.topics import CENTER_STATION, Channel, center_address

pytestmark = pytest.mark.docs

PAGE = Path(__file__).parents[2] / "docs" / "ref" / "contract.md"
TEXT = PAGE.read_text(encoding="utf-8")
SCHEMAS = asyncapi.schemas()


def section(heading: str) -> str:
    """Return the text under a heading, to the next of any rank."""
    _, found, rest = TEXT.partition(f"\n{heading}\n")
    assert found, f"there is no {heading!r}"
    return rest.partition("\n#")[0]


def test_its_tables_and_examples_are_equal() -> None:
    """Every table and example of the reference is the one that the types give."""
    assert reference.fill(TEXT) == TEXT, (
        "the contract has changed; renew the reference with: motcua contract reference docs/ref/contract.md"
    )


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_is_there(channel: Channel) -> None:
    """Every channel stands in the table of topics with its speaker and whether it is retained."""
    speaker = "device" if channel.from_device else "center"
    assert f"| `{channel.value}` | {speaker} | {'yes' if channel.retained else 'no'} |" in section("## Topics")


def test_the_center_s_own_topic_is_there() -> None:
    """The reference says where the center says of itself whether it is there, and that no station has its name."""
    topic = center_address("bentre").topic(Channel.STATUS).replace("bentre", "<center>")
    assert f"`{topic}`" in section("## Topics")
    assert f"`{topic}`" in section("### Status")
    assert f"No station is called `{CENTER_STATION}`" in section("## Topics")


@pytest.mark.parametrize("name", TYPES)
def test_every_event_type_is_there(name: str) -> None:
    """Every event type has a section of its own that begins with its wire name and shows an example."""
    text = section(f"### {TYPES[name].__name__}")
    assert text.lstrip().startswith(f"`{name}` – ")
    assert f"<!-- example {name} -->" in text


@pytest.mark.parametrize("name", asyncapi.schemas())
def test_every_field_of_every_type_is_there(name: str) -> None:
    """Every type has a section with a table of exactly its fields."""
    rows = [line for line in section(f"### {name}").splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("name", asyncapi.document()["components"]["messages"])
def test_every_message_has_an_example(name: str) -> None:
    """Every message is shown once as it travels."""
    assert f"<!-- example {name} -->" in TEXT


def test_the_codes_are_codes_of_the_center() -> None:
    """The reference names no refusal that the center does not know."""
    paragraph = next(part for part in section("### Reply").split("\n\n") if part.startswith("Codes that"))
    codes = {part for part in paragraph.split("`")[1::2] if part != "message"}
    assert "queue_empty" in codes
    assert codes <= CATALOGUE.keys()


def test_an_unknown_name_is_an_error() -> None:
    """A block for a type that the contract does not have is refused, not left as it is."""
    with pytest.raises(ContractError, match="RatingTaken: is not in the contract"):
        reference.fill("<!-- fields RatingTaken -->\n<!-- end -->\n")


def test_prose_is_kept() -> None:
    """What stands outside the blocks is not touched, and a block is filled anew."""
    page = "before\n<!-- fields CallpadReported -->\nold\n<!-- end -->\nafter\n"
    filled = reference.fill(page)
    assert filled.startswith("before\n<!-- fields CallpadReported -->\n\n| field | value | meaning |\n")
    assert "| `revision` | integer from 0 | The revision of" in filled
    assert "old" not in filled
    assert filled.endswith("\n<!-- end -->\nafter\n")
    assert reference.fill(filled) == filled


def test_every_link_within_the_page_leads_somewhere() -> None:
    """A type that a table names by a link has its section on the page."""
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in TEXT.splitlines() if line.startswith("#")}
    links = {part.partition(")")[0] for part in TEXT.split("](#")[1:]}
    assert {"armed", "clip", "args", "ticketview"} <= links
    assert links <= headings
