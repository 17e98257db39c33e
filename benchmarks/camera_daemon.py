"""The whole camera daemon: its share of a core, memory, lost pictures, and how soon an incident is on MQTT.

The daemon is the real program behind a real mosquitto. It watches a drawn counter whose people have real faces, 640 ×
480 at 15 pictures a second that come as unsteadily as a camera's, records, seals, analyses and looks for people. Each
picture has its number in it, so a recording tells which it has; the scene knows who is where, so it tells when a
condition began to hold. The video is not compressed: a camera gives pictures, too, and their decoding is no cost of
it. What it costs to read it in its own time, and nothing else, stands beside; so does what real pedestrians
(`vtest.avi`) cost. Only the word that the wall clock is set is put into the program's mouth.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.brokers import mosquitto
from benchmarks.camera_people import Place, number, read_number
from benchmarks.camera_scenes import MISSING, VIDEO
from benchmarks.figures import Row, at_most, median
from contract.codec import encode
from contract.requests import Ack
from contract.states import CameraDesired, Hours
from contract.topics import Address, Channel
from firmware.clock import SystemClock
from firmware.devices.camera import model
from firmware.devices.camera.clips import Clip, Folder
from firmware.devices.camera.frames import Plane
from host.sealing import make_keys
from simulator.scene import SCREEN, ZONES, Person

WIDTH, HEIGHT, FPS = 640, 480, 15
SECONDS = 84
WAITING_S, ABSENT_S, CROWD, CROWDED_S = 6, 7, 2, 20
PRE_S, POST_S = 5, 3
SHARE_GOAL, MEMORY_GOAL_MB, EVENT_GOAL_MS = 8.0, 180.0, 300.0
_FROM_S, _UNTIL_S = 8.0, 68.0  # of the scene: when processor time is counted
_SETTLED_S, _FULL_S = 10.0, 78.0  # when memory is read: the first, and after the minute that the rings hold is full
_CAMERA = Address(center="bench", station="q01", device="camera")
_START_TIMEOUT_S = 60.0
_JITTER_MS = (0, 7, -5, 2)

_FILE = """
center = "bench"
station = "q01"
state_dir = "{folder}"
[broker]
host = "127.0.0.1"
port = {port}
[device.camera]
source = "file"
address = "{video}"
{options}
"""


@dataclass(frozen=True, slots=True)
class Word:
    """What the center says at a second of the scene."""

    at_s: float
    desired: Mapping[str, Any]


@dataclass(slots=True)
class Event:
    """An event as a subscriber heard it."""

    at_ms: float
    recorded_ms: int
    type: str
    data: dict[str, Any]


@dataclass
class Seen:
    """What one run showed."""

    share: float = 0.0
    first_mb: tuple[float, float] = (0.0, 0.0)  # resident, and the share of it (PSS)
    last_mb: tuple[float, float] = (0.0, 0.0)
    zero_ms: float = 0.0  # when the scene began, on the clock that never steps
    events: list[Event] = field(default_factory=list)
    said_ms: dict[str, float] = field(default_factory=dict)  # panic → when the center said it
    clips: dict[str, tuple[Clip, list[int]]] = field(default_factory=dict)  # and the numbers of its pictures
    presence: bool = False

    def started(self, kind: str) -> list[Event]:
        """The beginnings of a kind of incident."""
        return [
            each for each in self.events if each.type == "vn.motcua.camera.started.v1" and each.data["kind"] == kind
        ]

    def expected(self, from_ms: float, until_ms: float) -> list[int]:
        """The numbers of the pictures of an interval on the scene's clock."""
        return [each for each in range(SECONDS * FPS) if from_ms <= time_of(each) < until_ms]


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    if not VIDEO.exists():
        print(MISSING)
        return []
    if not _network().exists():
        print("no network here, so nobody is looked for: get it with: motcua camera model")
    with tempfile.TemporaryDirectory(prefix="motcua-camera-") as name:
        folder = Path(name)
        scene = write(folder / "scene.nut", _counter(), SECONDS * FPS)
        floor = median([_floor_share(scene) for _ in range(rounds)])
        seen = [_watch(folder / f"run-{each}", scene, script(), sealed=True) for each in range(rounds)]
        plain = _watch(folder / "plain", scene, script(), sealed=False)
        walkers = write(folder / "walkers.nut", _walkers(), 795)
        walked = _watch(folder / "walked", walkers, _closed(), sealed=True, until_s=52)
        walked_floor = _floor_share(walkers)
    return [*_cost(seen, plain, walked, floor, walked_floor), *_recorded(seen, walked), *_soon(seen)]


# --- what the daemon sees ------------------------------------------------------------------------------------------


def time_of(number: int) -> int:
    """Return when a picture is taken, in milliseconds of the scene: fifteen a second, as unsteady as a camera is."""
    return number * 1000 // FPS + (_JITTER_MS[number % 4] if number else 0)


def people(at_s: float) -> list[Person]:
    """Say who is at the counter at a second of the scene."""
    there = [Person("officer", _walk(at_s, 0, 8.0) + _walk(at_s, 22.0, 30.0), look=0)]
    there.append(Person("citizen", _walk(at_s, 10.0, 32.8), look=1))  # alone from 10 to 22
    there.append(Person("citizen", _walk(at_s, 10.5, 32.8), look=3, place=1))  # a crowd of two
    there += [Person("citizen", _walk(at_s, begins, begins + 4.0), look=2) for begins in (36.3, 50.9)]  # after hours
    return [person for person in there if person.at > 0]


def script() -> list[Word]:
    """What the center says: a service from the first second to the 80th, closed from the 33rd on, five panics."""
    far = (datetime.now(UTC).isoweekday() + 2) % 7 + 1
    closed = (Hours(days=(far,), begin="08:00", end="09:00"),)
    every = ("waiting_alone", "after_hours", "panic")
    serving = {"state": "serving", "ticket": "t-1"}
    return [
        Word(4.0, {**serving, "panic": "p-1"}),
        Word(16.0, {**serving, "panic": "p-2"}),
        Word(28.0, {**serving, "panic": "p-3"}),
        Word(33.0, {**serving, "panic": "p-3", "hours": closed, "kinds": every}),
        Word(40.5, {**serving, "panic": "p-4", "hours": closed, "kinds": every}),
        Word(46.0, {**serving, "panic": "p-4", "hours": closed, "kinds": ("waiting_alone",)}),
        Word(47.0, {**serving, "panic": "p-4", "hours": closed, "kinds": every}),
        Word(60.0, {**serving, "panic": "p-5", "hours": closed, "kinds": every}),
        Word(74.0, {**serving, "panic": "p-5", "hours": closed, "kinds": ()}),
        Word(80.0, {"state": "open"}),
    ]


def _closed() -> list[Word]:
    """The words for pedestrians: it is night, and one service all the time."""
    hours = script()[3].desired["hours"]
    return [
        Word(0.5, {"state": "serving", "ticket": "t-1", "hours": hours}),
        Word(44.0, {"state": "serving", "ticket": "t-1", "hours": hours, "kinds": ()}),
        Word(48.0, {"state": "open"}),
    ]


def _walk(at_s: float, begins: float, ends: float) -> float:
    """How far somebody has come who is there from one second to another, 0 to 1; a second and a half each way."""
    return max(0.0, min(1.0, (at_s - begins) / 1.5 if begins else 1.0, (ends - at_s) / 1.5))


def _counter() -> Iterator[Plane]:
    place = Place()
    for each in range(SECONDS * FPS):
        picture = place.draw(each / FPS, people(each / FPS))
        number(picture, each)
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8)


def _walkers() -> Iterator[Plane]:
    with av.open(str(VIDEO)) as container:
        for each, frame in enumerate(container.decode(video=0)):
            picture = frame.to_ndarray(width=WIDTH, height=HEIGHT, format="yuv420p").astype(np.uint8)
            number(picture[:HEIGHT], each)
            yield picture


def write(path: Path, pictures: Iterator[Plane], count: int) -> Path:
    """Write pictures, I420, as a video that is not compressed; return its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for each, picture in zip(range(count), pictures, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = time_of(each), Fraction(1, 1000)
            container.mux(stream.encode(frame))
    return path


# --- a run ---------------------------------------------------------------------------------------------------------


class _Subscriber:
    """Hears the camera as the center does, and acknowledges."""

    def __init__(self, port: int) -> None:
        self.events: list[Event] = []
        self.kept = threading.Semaphore(0)
        self.pictures = threading.Event()
        self.presence = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(_CAMERA.topic(each), 1) for each in (Channel.EVENT, Channel.REPORTED)])
        self._client.loop_start()
        self._revision = 0

    def say(self, desired: Mapping[str, Any]) -> float:
        """Publish a desired state; return when."""
        self._revision += 1
        payload = encode(CameraDesired(revision=self._revision, **desired))
        self._client.publish(_CAMERA.topic(Channel.DESIRED), payload, qos=1, retain=True)
        return time.monotonic_ns() / 1e6

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        at_ms = time.monotonic_ns() / 1e6
        body = json.loads(message.payload)
        if message.topic == _CAMERA.topic(Channel.REPORTED):
            self.presence = self.presence or body["presence"]
            return
        self.events.append(Event(at_ms, int(body["monotonicms"]), body["type"], body["data"]))
        client.publish(_CAMERA.topic(Channel.ACK), encode(Ack(ids=(body["id"],))), qos=1)


def _watch(folder: Path, video: Path, words: Sequence[Word], *, sealed: bool, until_s: float = SECONDS) -> Seen:
    """Run the daemon before a video, and note what it needs, says and records."""
    folder.mkdir()
    seen = Seen()
    with mosquitto("set_tcp_nodelay true") as broker:
        config = _write_config(folder, video, broker.port, sealed=sealed)
        hearer = _Subscriber(broker.port)
        hearer.say({"state": "serving", "ticket": "t-1"})
        log = folder / "log"
        with log.open("wb") as output:
            arguments = ["-m", "benchmarks.camera_daemon", "device", "run", "camera", "--config", str(config)]
            process = subprocess.Popen([sys.executable, *arguments], stderr=output)
        try:
            begun_s = _begun(log, process)
            program = psutil.Process(process.pid)

            def at(second: float) -> None:
                time.sleep(max(0.0, begun_s + second - time.monotonic()))
                if process.poll() is not None:
                    sys.exit(f"the camera ended: {log.read_text()}")

            def memory() -> tuple[float, float]:
                info = program.memory_full_info()
                return info.rss / 1e6, info.pss / 1e6

            def processor() -> None:
                times.append((time.monotonic(), sum(program.cpu_times()[:2])))

            times: list[tuple[float, float]] = []
            memories: list[tuple[float, float]] = []
            chores: list[tuple[float, Callable[[], object]]] = [
                *((word.at_s, partial(_say, hearer, word, seen)) for word in words),
                (min(_SETTLED_S, until_s), lambda: memories.append(memory())),
                (min(_FULL_S, until_s - 2), lambda: memories.append(memory())),
                (_FROM_S, processor),
                (min(_UNTIL_S, until_s - 8), processor),
            ]
            for second, chore in sorted(chores, key=itemgetter(0)):
                at(second)
                chore()
            at(until_s + 3)  # the post-rolls
            (from_s, before), (to_s, after) = times
            seen.share = 100 * (after - before) / (to_s - from_s)
            seen.first_mb, seen.last_mb = memories
        finally:
            process.terminate()
            process.wait(30)
            hearer.close()
    seen.events, seen.presence = hearer.events, hearer.presence
    _read_clips(folder, seen)
    return seen


def _say(hearer: _Subscriber, word: Word, seen: Seen) -> None:
    at_ms = hearer.say(word.desired)
    if (panic := word.desired.get("panic")) is not None:
        seen.said_ms.setdefault(panic, at_ms)


def _begun(log: Path, process: "subprocess.Popen[bytes]") -> float:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if b"pictures come" in log.read_bytes():
            return time.monotonic()
        time.sleep(0.02)
    sys.exit(f"no pictures came: {log.read_text()}")


def _read_clips(folder: Path, seen: Seen) -> None:
    """Read which pictures are in each recording; by the first, when the scene began."""
    clips = Folder(folder / _CAMERA.device / "clips", quota_bytes=1 << 40, clock=SystemClock(), spare_bytes=0)
    if halves := clips.open():
        raise RuntimeError(f"not recorded to the end: {halves}")
    for clip in clips.clips():
        with av.open(str(clips.video(clip.id))) as container:
            found = [
                read_number(frame.to_ndarray(format="gray").astype(np.uint8)) for frame in container.decode(video=0)
            ]
        seen.clips[clip.id] = (clip, found)
        seen.zero_ms = clip.start_ms - time_of(found[0])


def _write_config(folder: Path, video: Path, port: int, *, sealed: bool) -> Path:
    zones = [{"name": zone.name, "points": [list(point) for point in zone.points]} for zone in (*ZONES, *SCREEN)]
    options = [f"zones = {_toml(zones[:2])}", f"masks = {_toml(zones[2:])}"]
    options += [
        f"waiting_s = {WAITING_S}",
        f"absent_s = {ABSENT_S}",
        f"crowd = {CROWD}",
        f"pre_roll_s = {PRE_S}",
        f"post_roll_s = {POST_S}",
    ]
    if sealed:
        options.append(f'center_key = "{make_keys()[1]}"')
    if _network().exists():
        options.append(f'model = "{_network()}"')
    path = folder / "station.toml"
    path.write_text(_FILE.format(folder=folder, port=port, video=video, options="\n".join(options)), encoding="utf-8")
    return path


def _toml(zones: Sequence[Mapping[str, Any]]) -> str:
    return "[" + ", ".join(f'{{name = "{zone["name"]}", points = {zone["points"]}}}' for zone in zones) + "]"


def _network() -> Path:
    return model.FOLDER / model.MODEL


def _floor_share(video: Path, seconds: float = 20.0) -> float:
    """Return the share of a core that reading the video in its own time takes, and each brightness once."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.camera_daemon", "--floor", str(video)])
    try:
        time.sleep(3)
        program = psutil.Process(process.pid)
        begun, before = time.monotonic(), sum(program.cpu_times()[:2])
        time.sleep(seconds)
        return 100 * (sum(program.cpu_times()[:2]) - before) / (time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait(10)


# --- what is said of it --------------------------------------------------------------------------------------------


def _cost(seen: Sequence[Seen], plain: Seen, walked: Seen, floor: float, walked_floor: float) -> list[Row]:
    network = "people looked for once a second" if all(each.presence for each in seen) else "WITHOUT the network"

    def share(what: str, ours: float, beside: float) -> Row:
        row = at_most(what, ours, "%", SHARE_GOAL)
        return Row(what, ours, "%", beside, "reading the same video", row.goal, row.met)

    used = median([each.share for each in seen])
    first, last = (
        tuple(median([getattr(each, which)[part] for each in seen]) for part in (0, 1))
        for which in ("first_mb", "last_mb")
    )
    return [
        share(f"share of a core, shown and sealed, {network}", used, floor),
        Row("… without the sealed version", plain.share, "%", floor, "reading the same video"),
        share("… real pedestrians", walked.share, walked_floor),
        at_most("memory (resident) with a full ring", last[0], "MB", MEMORY_GOAL_MB),
        Row("… its share (PSS)", last[1], "MB"),
        Row("… resident after ten seconds", first[0], "MB"),
        Row("… without the sealed version, full", plain.last_mb[0], "MB"),
        Row("… real pedestrians", walked.last_mb[0], "MB"),
    ]


def _recorded(seen: Sequence[Seen], walked: Seen) -> list[Row]:
    every = [clip for run in (*seen, walked) for clip in run.clips.values()]
    services = [clip for clip in every if clip[0].why == "service"]
    return [
        Row("recordings, and services among them", len(every), "", len(services), "services"),
        Row("pictures in the services", sum(len(found) for _, found in services), ""),
        at_most("pictures lost in the services", sum(lost(found) + clip.lost for clip, found in services), "", 0),
        at_most("pictures lost in all recordings", sum(lost(found) + clip.lost for clip, found in every), "", 0),
        at_most(
            "recordings with a beginning that is a picture off", sum(_beginnings_off(each) for each in seen), "", 0
        ),
    ]


def lost(numbers: Sequence[int]) -> int:
    """Return how many pictures are missing in a recording, or are in it twice or out of order."""
    whole = list(range(numbers[0], numbers[-1] + 1))
    return 0 if list(numbers) == whole else max(1, len(whole) - len(set(numbers)))


def _beginnings_off(seen: Seen) -> int:
    """Return how many incidents' recordings do not begin with the first picture of the pre-roll."""
    off = 0
    for event in seen.events:
        if event.type != "vn.motcua.camera.started.v1":
            continue
        _, found = seen.clips[event.data["incident"]]
        recorded_ms = event.recorded_ms - seen.zero_ms
        if event.data["kind"] == "panic":  # it holds when the daemon hears of it, a few milliseconds before it records
            instants = [recorded_ms - early for early in range(6)]
        else:  # it holds in the picture that the daemon has just looked at
            instants = [max(time_of(each) for each in range(SECONDS * FPS) if time_of(each) <= recorded_ms)]
        first = {min(seen.expected(instant - PRE_S * 1000, 1e9), default=0) for instant in instants}
        off += found[0] not in first
    return off


def _soon(seen: Sequence[Seen]) -> list[Row]:
    holds_ms = {
        "waiting_alone": [time_of(_first_number(_is_alone, 10.0)) + 1000 * WAITING_S],
        "officer_absent": [time_of(_first_number(_is_left, 6.0)) + 1000 * ABSENT_S],
        "crowding": [time_of(_first_number(_is_crowded, 10.0)) + 1000 * CROWDED_S],
        "after_hours": [time_of(_first_number(_differs, begins)) + 1000 for begins in (36.3, 50.9)],
    }
    rows = []
    for kind, instants in holds_ms.items():
        late = []
        for run in seen:
            found = run.started(kind)
            if len(found) != len(instants):
                print(f"{kind}: {len(found)} incidents where there were {len(instants)}")
            late += [event.at_ms - run.zero_ms - holds for event, holds in zip(found, instants, strict=False)]
        rows += _late(f"{kind}: its time is over → on MQTT", late)
    panic = [
        event.at_ms - at_ms
        for run in seen
        for event, at_ms in zip(run.started("panic"), run.said_ms.values(), strict=True)
    ]
    return [*rows, *_late("panic: the center's word → on MQTT", panic)]


def _late(what: str, times: Sequence[float]) -> list[Row]:
    if not times:
        return [Row(what, float("inf"), "ms", goal=f"≤ {EVENT_GOAL_MS:g} ms", met=False)]
    return [
        at_most(f"{what}, median of {len(times)}", median(times), "ms", EVENT_GOAL_MS),
        at_most("… the latest", max(times), "ms", EVENT_GOAL_MS),
    ]


def _first_number(holds: Callable[[int], bool], from_s: float) -> int:
    return next(each for each in range(int(from_s * FPS), SECONDS * FPS) if holds(each))


def _differs(number: int) -> bool:
    """Whether three thousandths of the picture differ from the empty place by more than noise does."""
    place = Place()
    empty, seen = (
        cv2.cvtColor(place.draw(number / FPS, who), cv2.COLOR_BGR2GRAY) for who in ((), people(number / FPS))
    )
    return cv2.countNonZero(cv2.inRange(cv2.absdiff(empty, seen), 30, 255)) >= 0.003 * WIDTH * HEIGHT


def _heads(number: int) -> int:
    """How many citizens have the middle of their head in the picture."""
    return sum(each.who == "citizen" and each.at * (0.52 - 0.13 * each.place) > 0.12 for each in people(number / FPS))


def _is_left(number: int) -> bool:
    """Whether nothing of the officer is in the picture."""
    return not any(each.who == "officer" for each in people(number / FPS))


def _is_alone(number: int) -> bool:
    return _is_left(number) and _heads(number) > 0


def _is_crowded(number: int) -> bool:
    return _heads(number) >= CROWD


def _floor(video: Path) -> None:
    from firmware.devices.camera.config import CameraConfig
    from firmware.devices.camera.sources import make_source

    config = CameraConfig(source="file", address=str(video), loop=True)
    source = make_source(config, lambda *_: None, SystemClock().monotonic_ms, loop=True)
    with source:
        while (frame := source.read(5.0)) is not None:
            cv2.sumElems(frame.y)


def _is_set(_clock: SystemClock) -> bool:
    return True


def _main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--floor"]:
        _floor(Path(arguments[1]))
        return 0
    from motcua.cli import main

    SystemClock.synchronised = _is_set  # type: ignore[method-assign,assignment]  # nobody else is asked
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
