"""What a camera decides: what is an incident, which clips are kept, what is said of it all. Pure."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Literal, TypeVar

import msgspec

from contract.cameras import KINDS, check_hours, check_names, check_zones
from contract.events import CameraEnded, CameraFault, CameraStarted, CameraUpdated, Clip
from contract.requests import Args, Reply
from contract.states import CameraDesired, CameraReported, Hours, Keep, Look, Zone
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.hours import is_open
from firmware.devices.camera.incidents import (
    TAMPER_BEGINS_MS,
    TAMPER_ENDS_MS,
    Allowance,
    Change,
    Counter,
    Ended,
    Incident,
    Incidents,
    Started,
    Watch,
    has_fault,
)
from firmware.devices.camera.signals import (
    ANSWERED_WITHIN_MS,
    Answer,
    Back,
    Begin,
    Begun,
    Contact,
    End,
    Forget,
    Held,
    Hold,
    Kept,
    Lost,
    Picture,
    Presence,
    Read,
    Room,
    Seen,
    Settings,
    Thumbnail,
    Unkept,
    Unsent,
    Wants,
    Watched,
)
from firmware.ports import Ask, Drive, Effect, Record, Remember, Report

Signal = Seen | Lost | Back | Thumbnail | Begun | Kept | Held | Unkept | Presence | Room | Read | Wants | Unsent

Trouble = Literal["lost", "covered", "frozen", "defocused", "moved", "disk", "unsent", "settings"]
"""What a camera reports to be wrong; after `settings:` comes which of them."""
FAULTS: tuple[Literal["covered", "frozen", "defocused", "moved"], ...] = ("covered", "frozen", "defocused", "moved")
"""What can be wrong with a picture, the worst first: one of them is the trouble that is reported."""
INCIDENT_CLIP_MS = 600_000
"""No clip of an incident is longer, pre-roll and post-roll aside: what goes on for hours is seen in ten minutes."""
SERVICE_CLIP_MS = 3_600_000
KEPT_WITHIN_MS = 30_000
"""So long after its end a clip is waited for before an incident is said to be over without one."""
REMEMBERED = 32
"""So many requests to keep something are known as carried out, beside those that are asked for now."""
HELD_TICKETS = 256
THUMBNAIL_BYTES = 24 * 1024

OPEN_KEY, KEPT_KEY, PANIC_KEY, TOLD_KEY = "camera.open", "camera.kept", "camera.panic", "camera.settings"

T = TypeVar("T")
_incidents = msgspec.json.Decoder(tuple[Incident, ...])
_names = msgspec.json.Decoder(tuple[str, ...])


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings that the center told last: what it wants black stays black while nobody can be asked."""

    kinds: tuple[str, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    zones: tuple[Zone, ...] | None = None
    masks: tuple[Zone, ...] | None = None


_told = msgspec.json.Decoder(tuple[_Told, ...])


def told_zones(remembered: str | None) -> tuple[Zone, ...] | None:
    """Return the zones that the center told last, of what is remembered as `TOLD_KEY`; None: those of the file hold."""
    return next(iter(_read(_told, remembered)), _Told()).zones


@dataclass(slots=True)
class _Story:
    """One incident from its start until its end is on record. Its clip has its id."""

    incident: Incident
    clip_until_ms: int | None  # None once the clip was told to end
    clip: Clip | None = None
    pictured: bool = False
    wait_until_ms: int | None = None  # it is over; so long its clip is waited for
    began_ms: int | None = None  # None where another run knew it
    lasted_ms: int | None = None


@dataclass(slots=True)
class _Service:
    """A service that goes on, and its clip."""

    clip: str
    ticket: str
    clip_until_ms: int | None  # None once the clip was told to end


class CameraDecisions:
    """One camera. It needs no contact: what the center last said holds, and what happens waits in the outbox."""

    def __init__(self, config: CameraConfig, *, new_id: Callable[[], str], memory: Mapping[str, str]) -> None:
        self._config = config
        self._new_id = new_id
        self._left_open = _read(_incidents, memory.get(OPEN_KEY))
        self._kept = _read(_names, memory.get(KEPT_KEY))
        self._keeping: dict[str, None] = {}  # the recorder was told, and has not said yet that it is on the disk
        self._revision = 0
        self._panic = memory.get(PANIC_KEY)
        self._incidents = Incidents(
            waiting_s=config.waiting_s, absent_s=config.absent_s, crowd=config.crowd, new_id=new_id
        )
        self._incidents.finds_people = config.model is not None
        self._stories: dict[str, _Story] = {}
        self._service: _Service | None = None
        self._forget_ms: dict[str, tuple[str, int]] = {}  # clip → its ticket, and until when it lies there
        self._held: dict[str, Keep] = {}  # ticket → who asked first, the latest ticket last
        self._desired: CameraDesired | None = None
        self._settings = Settings(zones=config.zones, masks=config.masks)
        self._hours: tuple[Hours, ...] = config.hours
        self._wrong: str | None = None
        self._told = next(iter(_read(_told, memory.get(TOLD_KEY))), _Told())
        self._take(self._told, 0)
        self._begun_with = self._settings
        self._faults = {kind: Watch(begins_ms=TAMPER_BEGINS_MS, ends_ms=TAMPER_ENDS_MS) for kind in FAULTS}
        self._lost = False
        self._lost_allowance = Allowance()
        self._room = Room(clips=0, held=0, tight=False)
        self._reported: CameraReported | None = None
        self._look: Look | None = None
        self._from_before: set[str] = set()  # incidents of the last run
        self._contact = False
        self._unsent = False
        self._asked: tuple[str, int] | None = None  # the request, and the recording's own number of it

    @property
    def settings(self) -> Settings:
        """What is looked at and what is black. A driver begins with what stands here then."""
        return self._settings

    # --- what happens --------------------------------------------------------------------------------------------

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """End what the last run left open, each with its clip as soon as the recorder tells of it, and report."""
        effects: list[Effect] = []
        self._lost = self._unsent = False
        self._keeping.clear()
        for watch in self._faults.values():
            watch.forget()
        effects += self._change(self._incidents.forget(now_ms), now_ms)
        effects += self._end_service(now_ms)
        for incident in self._left_open:
            self._stories[incident.id] = _Story(incident, None, wait_until_ms=now_ms + KEPT_WITHIN_MS)
        self._left_open = ()
        self._from_before = set(self._stories)
        if self._contact:
            effects.append(Drive(Contact(up=True)))
        if self._settings != self._begun_with:
            effects.append(Drive(self._settings))
        return [*effects, *self._report()]

    def on_signal(self, signal: Signal, now_ms: int) -> Sequence[Effect]:
        """Take what was seen, recorded or lost."""
        effects: list[Effect] = []
        match signal:
            case Seen():
                effects += self._on_seen(signal, now_ms)
            case Lost():
                if not self._lost and self._lost_allowance.take(now_ms):
                    effects.append(Record(CameraFault(kind="lost")))
                self._lost = True
            case Back():
                self._lost = False
            case Thumbnail():
                effects += self._on_thumbnail(signal)
            case Kept():
                effects += self._settle(signal.clip)
                effects += self._on_kept(signal)
            case Presence(there):
                self._incidents.finds_people = there
            case Room():
                self._room = signal
            case Read():
                for story in list(self._stories.values()):
                    if story.incident.id in self._from_before:
                        effects.append(self._close(story))
            case Unsent(since_long):
                self._unsent = since_long
            case Wants():
                effects.append(self._ask(signal))
            case Begun(clip) | Held(clip=clip) | Unkept(clip=clip):
                effects += self._settle(clip)  # the driver has logged it; the room says whether a person is needed
        return [*effects, *self._report()]

    def on_desired(self, desired: CameraDesired, now_ms: int) -> Sequence[Effect]:
        """Take the counter's state, the settings, and what shall be kept."""
        self._desired = desired
        effects = self._set(desired, now_ms)
        effects += self._keep(desired.keep, now_ms)
        effects += self._on_panic(desired.panic, now_ms)
        effects += self._follow_service(desired, now_ms)
        if desired.look != self._look:
            self._look = desired.look
            effects.append(Drive(Watched(desired.look)))
        return [*effects, *self._report()]

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Hand the answer to the recording that waits for it."""
        if self._asked is None or reply.id != self._asked[0]:
            return ()
        ask, self._asked = self._asked[1], None
        return (Drive(Answer(ask=ask, upload=reply.upload, code=reply.code, message=reply.message)),)

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Let recordings go to the center or wait. Nothing else: a camera looks on alone, the outbox keeps its word."""
        self._contact = up and self._config.center is not None
        return (Drive(Contact(up=up)),) if self._config.center is not None else ()

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """End clips that are long enough and panics that are over, and wait for no clip for ever."""
        effects = self._change(self._incidents.on_time(now_ms), now_ms)
        for story in list(self._stories.values()):
            if story.clip_until_ms is not None and now_ms >= story.clip_until_ms:
                story.clip_until_ms = None
                effects.append(Drive(End(story.incident.id, at_ms=now_ms, after_ms=0)))
            if story.wait_until_ms is not None and now_ms >= story.wait_until_ms:
                effects.append(self._close(story))
        if self._service is not None:
            until_ms = self._service.clip_until_ms
            if until_ms is not None and now_ms >= until_ms:
                effects += self._end_service_clip(self._service, now_ms)
        for clip, (_, kept_until_ms) in list(self._forget_ms.items()):
            if now_ms >= kept_until_ms:
                del self._forget_ms[clip]
                effects.append(Drive(Forget(clip)))
        return [*effects, *self._report()]

    def deadline_ms(self) -> int | None:
        """When something ends that nobody will say the end of."""
        dues = [
            self._incidents.deadline_ms(),
            self._service.clip_until_ms if self._service else None,
            *(story.clip_until_ms for story in self._stories.values()),
            *(story.wait_until_ms for story in self._stories.values()),
            *(until_ms for _, until_ms in self._forget_ms.values()),
        ]
        return min((due for due in dues if due is not None), default=None)

    # --- incidents -----------------------------------------------------------------------------------------------

    def _on_seen(self, seen: Seen, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        counter = self._counter(is_open(seen.now, self._config.timezone, self._hours))
        for kind, watch in self._faults.items():
            if watch.look(has_fault(kind, seen, after_hours=counter.after_hours), seen.at_ms) and watch.on:
                effects.append(Record(CameraFault(kind=kind)))
        return effects + self._change(self._incidents.look(seen, counter), now_ms)

    def _counter(self, center_is_open: bool | None) -> Counter:
        """Say how the counter stands. One that an officer forgot to close is not open all night."""
        desired = self._desired
        is_open_now: bool | None = None
        if desired is not None:
            is_open_now = desired.state in ("open", "calling", "serving") and center_is_open is not False
        return Counter(
            open=is_open_now,
            after_hours=None if center_is_open is None else not center_is_open,
            ticket=desired.ticket if desired is not None else None,
            zones=frozenset(zone.name for zone in self._settings.zones),
        )

    def _change(self, changes: Sequence[Change], now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for change in changes:
            incident = change.incident
            match change:
                case Started(at_ms=at_ms):
                    effects += self._begin(incident, at_ms, now_ms)
                case Ended(at_ms=at_ms):
                    effects += self._end(self._stories[incident.id], at_ms, now_ms)
                case _:
                    self._stories[incident.id].incident = incident
                    effects.append(Record(self._updated(incident), remember=self._to_remember()))
        return effects

    def _begin(self, incident: Incident, at_ms: int, now_ms: int) -> list[Effect]:
        # One at a time: whoever reads the record need not wonder which of two is meant.
        effects: list[Effect] = [
            self._close(story) for story in list(self._stories.values()) if story.incident.kind == incident.kind
        ]
        self._stories[incident.id] = _Story(incident, now_ms + INCIDENT_CLIP_MS, began_ms=at_ms)
        fact = CameraStarted(
            incident=incident.id,
            kind=incident.kind,
            zone=incident.zone,
            confidence=incident.confidence,
            ticket=incident.ticket,
        )
        begin = Begin(
            incident.id,
            at_ms=at_ms,
            before_ms=self._config.pre_roll_s * 1000,
            why=incident.kind,
            held=incident.kind == "panic",
            ticket=incident.ticket,
        )
        return [*effects, Record(fact, remember=self._to_remember()), Drive(begin), Drive(Picture(incident.id))]

    def _end(self, story: _Story, at_ms: int, now_ms: int) -> list[Effect]:
        """End an incident's clip; its end is put on record with the clip, when that is written."""
        effects: list[Effect] = []
        after_ms = 0
        if story.began_ms is not None:
            story.lasted_ms = max(at_ms - story.began_ms, 0)
        if story.clip_until_ms is not None:
            story.clip_until_ms = None
            after_ms = self._config.post_roll_s * 1000
            effects.append(Drive(End(story.incident.id, at_ms=at_ms, after_ms=after_ms)))
        if story.clip is not None:
            return [*effects, self._close(story)]
        story.wait_until_ms = now_ms + after_ms + KEPT_WITHIN_MS
        return effects

    def _close(self, story: _Story) -> Record:
        """Put an incident's end on record, with its clip if there is one."""
        incident = story.incident
        del self._stories[incident.id]
        fact = CameraEnded(
            incident=incident.id,
            kind=incident.kind,
            zone=incident.zone,
            confidence=incident.confidence,
            ticket=incident.ticket,
            clip=story.clip,
            lasted_ms=story.lasted_ms,
        )
        return Record(fact, remember=self._to_remember())

    def _on_thumbnail(self, thumbnail: Thumbnail) -> list[Effect]:
        story = self._stories.get(thumbnail.incident)
        if story is None or story.pictured or not 0 < len(thumbnail.jpeg) <= THUMBNAIL_BYTES:
            return []
        story.pictured = True
        return [Record(self._updated(story.incident, thumbnail=base64.b64encode(thumbnail.jpeg).decode()))]

    def _on_kept(self, kept: Kept) -> list[Effect]:
        story = self._stories.get(kept.clip)
        if story is None or story.clip is not None:
            return []
        start = kept.start.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        story.clip = Clip(id=kept.clip, start=start, seconds=kept.seconds, bytes=kept.bytes, sha256=kept.sha256)
        if story.wait_until_ms is not None:
            return [self._close(story)]
        return [Record(self._updated(story.incident, clip=story.clip))]

    def _updated(self, incident: Incident, *, thumbnail: str | None = None, clip: Clip | None = None) -> CameraUpdated:
        return CameraUpdated(
            incident=incident.id,
            kind=incident.kind,
            zone=incident.zone,
            confidence=incident.confidence,
            ticket=incident.ticket,
            thumbnail=thumbnail,
            clip=clip,
        )

    def _to_remember(self) -> dict[str, str]:
        memory = {OPEN_KEY: msgspec.json.encode([story.incident for story in self._stories.values()]).decode()}
        return memory if self._panic is None else memory | {PANIC_KEY: self._panic}

    # --- what the center wants -----------------------------------------------------------------------------------

    def _set(self, desired: CameraDesired, now_ms: int) -> list[Effect]:
        """Take the center's settings, and remember them: it may be away when this camera starts again."""
        told = _Told(kinds=desired.kinds, hours=desired.hours, zones=desired.zones, masks=desired.masks)
        before, effects = self._settings, self._take(told, now_ms)
        if told != self._told:
            self._told = told
            effects.append(Remember({TOLD_KEY: msgspec.json.encode([told]).decode()}))
        if self._settings != before:
            effects.append(Drive(self._settings))
        return effects

    def _take(self, told: _Told, now_ms: int) -> list[Effect]:
        """Let settings hold; what cannot be meant leaves what the station's file says, and is reported."""
        config = self._config
        self._wrong = None
        self._hours = config.hours if told.hours is None else told.hours
        try:
            check_hours(self._hours)
        except ValueError:
            self._hours, self._wrong = config.hours, "settings:hours"
        kinds = set(config.kinds if told.kinds is None else told.kinds)
        if kinds - set(KINDS):
            self._wrong = "settings:kinds"
        zones = self._usable("zones", told.zones, config.zones)
        self._settings = Settings(zones=zones, masks=self._usable("masks", told.masks, config.masks))
        return self._change(self._incidents.allow(kinds & set(KINDS), now_ms), now_ms)

    def _usable(self, key: str, told: tuple[Zone, ...] | None, own: tuple[Zone, ...]) -> tuple[Zone, ...]:
        if told is None:
            return own
        try:
            check_zones(told)
            if key == "zones":
                check_names(told)
        except ValueError:
            self._wrong = f"settings:{key}"
            return own
        return told

    def _on_panic(self, event: str | None, now_ms: int) -> list[Effect]:
        if event is None or event == self._panic:
            return []
        self._panic = event  # goes to the disk with what is put on record next: of a panic that goes on, its end
        effects = self._change(self._incidents.panic(self._counter(None), now_ms), now_ms)
        if effects or any(incident.kind == "panic" for incident in self._incidents.open):
            return effects
        return [Remember({PANIC_KEY: event})]

    def _keep(self, wanted: Sequence[Keep], now_ms: int) -> list[Effect]:
        """Carry out what was not yet: to do it twice is harmless, not to do it is not."""
        effects: list[Effect] = []
        asked = {keep.id: keep for keep in wanted}
        for keep in asked.values():
            if keep.ticket is not None:
                self._hold(keep.ticket, keep)
            if keep.id not in self._kept and keep.id not in self._keeping:
                self._keeping[keep.id] = None
                effects += self._carry_out(keep, now_ms)
        for name in [name for name in self._keeping if name not in asked][:-REMEMBERED]:
            del self._keeping[name]
        return effects

    def _settle(self, name: str) -> list[Effect]:
        """Note what was asked as carried out, when it is on the disk or never will be: no power cut takes it back."""
        if name not in self._keeping:
            return []
        del self._keeping[name]
        asked = self._asked_now()
        kept = (*self._kept, name)
        self._kept = (
            *[each for each in kept if each not in asked][-REMEMBERED:],
            *[each for each in kept if each in asked],
        )
        return [Remember({KEPT_KEY: msgspec.json.encode(self._kept).decode()})]

    def _asked_now(self) -> set[str]:
        return {keep.id for keep in self._desired.keep} if self._desired is not None else set()

    def _carry_out(self, keep: Keep, now_ms: int) -> list[Effect]:
        if keep.ticket is not None:
            return [Drive(Hold(keep.id, ticket=keep.ticket, why=keep.why))]
        return [
            Drive(
                Begin(
                    keep.id,
                    at_ms=now_ms,
                    before_ms=keep.before_s * 1000,
                    why=keep.why,
                    held=True,
                    ticket=self._desired.ticket if self._desired is not None else None,
                )
            ),
            Drive(End(keep.id, at_ms=now_ms, after_ms=keep.after_s * 1000)),
        ]

    def _hold(self, ticket: str, keep: Keep) -> None:
        self._held[ticket] = self._held.pop(ticket, keep)
        if len(self._held) > HELD_TICKETS:
            del self._held[next(iter(self._held))]
        for clip, (of, _) in list(self._forget_ms.items()):
            if of == ticket:
                del self._forget_ms[clip]

    # --- services ------------------------------------------------------------------------------------------------

    def _follow_service(self, desired: CameraDesired, now_ms: int) -> list[Effect]:
        ticket = desired.ticket if desired.state == "serving" and self._config.service_clips else None
        if self._service is not None and self._service.ticket == ticket:
            return []
        effects = self._end_service(now_ms)
        if ticket is not None:
            self._service = _Service(self._new_id(), ticket, now_ms + SERVICE_CLIP_MS)
            asked = self._held.get(ticket)
            begin = Begin(
                self._service.clip,
                at_ms=now_ms,
                before_ms=0,
                why="service" if asked is None else asked.why,
                held=asked is not None,
                ticket=ticket,
                asked=None if asked is None else asked.id,
            )
            effects.append(Drive(begin))
        return effects

    def _end_service(self, now_ms: int) -> list[Effect]:
        service, self._service = self._service, None
        if service is None or service.clip_until_ms is None:
            return []
        return self._end_service_clip(service, now_ms)

    def _end_service_clip(self, service: _Service, now_ms: int) -> list[Effect]:
        service.clip_until_ms = None
        if service.ticket not in self._held:
            self._forget_ms[service.clip] = (service.ticket, now_ms + self._config.service_kept_min * 60_000)
        return [Drive(End(service.clip, at_ms=now_ms, after_ms=0))]

    # --- recordings to the center --------------------------------------------------------------------------------

    def _ask(self, wants: Wants) -> Ask:
        request_id = self._new_id()
        self._asked = (request_id, wants.ask)
        args = Args(clip=wants.clip, file=wants.file, why=wants.why, ticket=wants.ticket, thumbnail=wants.thumbnail)
        return Ask(request_id, "upload", args, seen=None, expires_in_ms=ANSWERED_WITHIN_MS)

    # --- how it is -----------------------------------------------------------------------------------------------

    def _report(self) -> Sequence[Effect]:
        if self._desired is not None and not self._asked_now() & self._keeping.keys():
            self._revision = self._desired.revision
        state = CameraReported(
            revision=self._revision,
            trouble=self._trouble(),
            presence=self._incidents.finds_people,
            clips=self._room.clips,
            held=self._room.held,
        )
        if state == self._reported:
            return ()
        self._reported = state
        return (Report(state),)

    def _trouble(self) -> str | None:
        if self._lost:
            return "lost"
        if fault := next((kind for kind, watch in self._faults.items() if watch.on), None):
            return fault
        if self._room.tight:
            return "disk"
        return "unsent" if self._unsent else self._wrong


def _read(decoder: msgspec.json.Decoder[tuple[T, ...]], text: str | None) -> tuple[T, ...]:
    """Return what was remembered; nothing, where nobody did or another program wrote it."""
    try:
        return decoder.decode(text) if text is not None else ()
    except msgspec.DecodeError:
        return ()
