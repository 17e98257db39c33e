"""Recordings as a camera makes them, of the drawn counter: masked, in blocks where citizens are, and sealed clear."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import sqlalchemy as sa

from center.answers import Arrival, Delivery
from center.cameras.names import name_of
from center.cameras.vault import Partial, Vault
from center.hall import Hall
from center.ingest.sorting import Event, Message, sort
from center.storage.tables import clip
from contract.events import CameraEnded, CameraStarted, CameraUpdated, Clip, Fact
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.mp4 import Muxer
from firmware.devices.camera.privacy import Blocks, Masks, thumbnail
from host.sealing import Sealer, read_public_key
from simulator.scene import SCREEN, ZONES, Person, Scene
from tests.support.device import sealed as as_event

People = Callable[[float], Sequence[Person]]


@dataclass(frozen=True, slots=True)
class Film:
    """A recording's files: the one that is shown, and the sealed clear one (empty without a key)."""

    shown: bytes
    sealed: bytes
    clear: bytes
    jpeg: bytes
    seconds: float


def film(
    people: People,
    *,
    seconds: float = 6,
    fps: int = 10,
    size: tuple[int, int] = (320, 240),
    key: str = "",
    name: str = "c-1",
    picture_at: float = 0.5,
) -> Film:
    """Record the counter; `key` is the center's public key, `picture_at` which part of it the thumbnail shows."""
    width, height = size
    scene = Scene(width, height)
    masks, blocks = Masks(SCREEN, size, (320, 240)), Blocks(ZONES[:1], size)
    shown, clear = _Track(size, fps), _Track(size, fps)
    sealer = Sealer(read_public_key(key), name) if key else None
    sealed, jpeg = sealer.head if sealer else b"", b""
    small = np.zeros((240, 320), np.uint8)
    count = round(seconds * fps)
    for number in range(count):
        drawn = scene.draw(number / fps, people(number / fps))
        main = cv2.cvtColor(drawn, cv2.COLOR_BGR2YUV_I420)
        masks.draw(main, small)
        if sealer is not None:
            sealed += sealer.seal(clear.take(main, number))
        seen = blocks.drawn(main)
        shown.take(seen, number)
        if number == int(count * picture_at):
            jpeg = thumbnail(seen)
    last = clear.end(count)
    if sealer is not None:
        sealed += sealer.seal(last, last=True)
    shown.end(count)
    return Film(shown.bytes, sealed, clear.bytes, jpeg, seconds)


class _Track:
    def __init__(self, size: tuple[int, int], fps: int) -> None:
        self._encoder = Encoder(width=size[0], height=size[1], fps=fps)
        self._muxer = Muxer(width=size[0], height=size[1], fps=fps)
        self._fps = fps
        self.bytes = b""

    def take(self, picture: Any, number: int) -> bytes:
        packet = self._encoder.encode(picture, number=number, at_ms=number * 1000 // self._fps)
        piece = self._muxer.add(packet)
        self.bytes += piece
        return piece

    def end(self, number: int) -> bytes:
        piece = self._muxer.end(number * 1000 // self._fps)
        self.bytes += piece
        return piece


# --- at the center -------------------------------------------------------------------------------------------------


def keep(vault: Vault, content: bytes) -> str:
    """Put a file into a vault; returns its hash."""
    sha256 = hashlib.sha256(content).hexdigest()
    partial = Partial(vault, sha256[:32])
    partial.append(content)
    partial.sync()
    partial.close()
    vault.put(vault.partial(sha256[:32]), sha256)
    return sha256


def arrive(
    hall: Hall, vault: Vault, made: Film | None, *, name: str, start: int, station: str = "q01", **changes: Any
) -> str:
    """Have a recording come to the center, with its row; returns its id there. None: it is yet to come."""
    id_ = name_of(station, "camera", name)
    row: dict[str, Any] = {
        "id": id_, "station": station, "device": "camera", "name": name, "start": start, "seconds": 1.0,
        "made_at": start, "held": False,
    }  # fmt: skip
    if made is not None:
        row |= {"seconds": made.seconds, "bytes": len(made.shown), "sha256": keep(vault, made.shown)}
        row |= {"arrived_at": start + 60_000}
        if made.sealed:
            row |= {"sealed_bytes": len(made.sealed), "sealed_sha256": keep(vault, made.sealed)}
            row |= {"sealed_at": start + 60_000}
    hall.transact(lambda connection: connection.execute(sa.insert(clip).values({**row, **changes}))).result(30)
    return id_


def happen(
    hall: Hall,
    *,
    name: str,
    at: int,
    kind: str = "officer_absent",
    station: str = "q01",
    ticket: str | None = None,
    jpeg: bytes = b"",
    recorded: str | None = None,
    before_s: float = 10,
    seconds: float = 30,
    lasted_ms: int | None = None,
    ends: bool = True,
) -> str:
    """Have a camera report an incident, from its start to its end; returns its key on the pages."""
    said: dict[str, Any] = {"incident": name, "kind": kind, "zone": "officer", "confidence": 0.9, "ticket": ticket}
    own = None
    if recorded is not None:
        begin = datetime.fromtimestamp(at / 1000 - before_s, UTC).isoformat(timespec="milliseconds")
        own = Clip(id=recorded, start=begin.replace("+00:00", "Z"), seconds=seconds, bytes=7, sha256="ab" * 32)
    facts: list[tuple[Fact, int]] = [(CameraStarted(**said), at)]
    if jpeg:
        facts.append((CameraUpdated(**said, thumbnail=base64.b64encode(jpeg).decode()), at + 500))
    if ends:
        facts.append((CameraEnded(**said, clip=own, lasted_ms=lasted_ms), at + (lasted_ms or 1000) + 10_000))
    source = f"/bentre/{station}/camera"
    for number, (fact, when) in enumerate(facts):
        body = as_event(
            fact,
            sequence=at % 1_000_000_000 + number,
            event_id=f"{name}-{station}-{number}",
            source=source,
            time=datetime.fromtimestamp(when / 1000, UTC),
        )
        assert hall.ingest(Delivery(arrivals=[_arrival(source, body, when)])).result(30) == "stored"
    return f"i{name_of(station, 'camera', name)}"


def _arrival(source: str, body: bytes, at: int) -> Arrival:
    message = Message(topic=f"motcua/v1{source}/event", payload=body, size=len(body), retained=False, at=at)
    found = sort(message)
    assert isinstance(found, Event)
    return found.arrival


def walking(citizen: tuple[float, float] | None, officer: tuple[float, float] | None) -> People:
    """Return who is there: each from a second on, until another one."""

    def there(at_s: float) -> Sequence[Person]:
        found = []
        if citizen is not None and citizen[0] <= at_s < citizen[1]:
            found.append(Person(who="citizen", at=min(1.0, (at_s - citizen[0]) / 2), look=1))
        if officer is not None and officer[0] <= at_s < officer[1]:
            found.append(Person(who="officer", at=1.0))
        return found

    return there


def cut(made: Film, share: float) -> Film:
    """Return a recording whose sealed version ends where the power did."""
    return replace(made, sealed=made.sealed[: int(len(made.sealed) * share)])
