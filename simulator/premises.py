"""Where a simulated center stands: its folder, ports, services, counters, and the configuration files of its programs.

The files are the ones an operator would write: every program reads them as it does on a real site.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contract.scales import SCALES
from contract.states import Zone
from host.files import replace_file
from simulator.ports import HOST

CENTER_ID = "bentre"
CENTER_NAME = "Trung tâm Phục vụ hành chính công phường Bến Tre"
SCALE = "vn-3"
TIMEZONE = "Asia/Ho_Chi_Minh"
MQTT_PORT = 1883

Codec = Literal["modbus-led", "cd5220"]
CODECS: tuple[Codec, ...] = ("modbus-led", "cd5220")
"""The panels on the counters' desks, in turn."""

BrokerKind = Literal["auto", "mosquitto", "amqtt"]

RATING_BUTTONS = {"1": 17, "2": 27, "3": 22}
RATING_LEDS = {"1": 5, "2": 6, "3": 13}
BUZZER = 18
CALLPAD_BUTTONS = {"next": 23, "recall": 24, "no_show": 25, "pause": 8}
CALLPAD_LEDS = {"next": 12, "recall": 16, "no_show": 20, "pause": 21}
"""The pins of `docs/guide`'s wiring: BCM numbers, buttons to ground, one LED each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a ticket is taken for."""

    id: str
    letter: str
    vi: str
    en: str


SERVICES = (
    Service(id="dat-dai", letter="A", vi="Đất đai", en="Land"),
    Service(id="ho-tich", letter="B", vi="Hộ tịch, chứng thực", en="Civil status, copies"),
    Service(id="ho-kinh-doanh", letter="C", vi="Hộ kinh doanh", en="Small businesses"),
    Service(id="xay-dung", letter="D", vi="Xây dựng", en="Construction"),
    Service(id="bao-tro-xa-hoi", letter="E", vi="Bảo trợ xã hội", en="Social protection"),
    Service(id="nghia-vu-quan-su", letter="F", vi="Nghĩa vụ quân sự", en="Military service"),
)
"""Fields that a ward's center has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterPlace:
    """One counter: its station, what it serves, which panel stands on it."""

    id: str
    label: str
    services: tuple[str, ...]
    codec: Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPlace:
    """The camera at one of the counters: a video, or without one a drawn room."""

    counter: str
    video: Path | None = None
    model: Path | None = None
    """The network that finds people, for a video: it finds no drawn ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times that are configuration on a site; a compressed day compresses them too."""

    arm_seconds: int = 30
    thanks_ms: int = 2000
    callpad_lockout_ms: int = 1500
    callpad_answer_within_ms: int = 5000
    debounce_ms: int = 15
    waiting_s: int = 10  # of a citizen who is alone; longer on a site, where nobody waits to see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """A whole center in a folder."""

    folder: Path
    run: Path  # sockets and ports; short, because a socket's name may have no more than 107 bytes
    http_port: int
    mqtt_port: int
    counters: tuple[CounterPlace, ...]
    timing: Timing = Timing()
    timezone: str = TIMEZONE
    keys: bool = False  # everybody needs a key at the broker, as on a site
    camera: CameraPlace | None = None

    @property
    def keys_dir(self) -> Path:
        """Where the stations have their keys."""
        return self.folder / "keys"

    @property
    def center_config(self) -> Path:
        """The center's configuration file."""
        return self.folder / "center.toml"

    @property
    def center_data(self) -> Path:
        """The center's data folder."""
        return self.folder / "center"

    @property
    def control_socket(self) -> Path:
        """Where the world listens for the demo page."""
        return self.run / "world.sock"

    @property
    def logs(self) -> Path:
        """What the programs say."""
        return self.folder / "log"

    @property
    def base_url(self) -> str:
        """The address of the center's pages."""
        return f"http://{HOST}:{self.http_port}"

    def station_config(self, counter: str) -> Path:
        """The configuration file of a counter's devices."""
        return self.folder / f"{counter}.toml"

    def station_state(self, counter: str) -> Path:
        """Where a counter's devices keep their outboxes."""
        return self.folder / "state" / counter

    def board_socket(self, counter: str, device: str) -> Path:
        """Where the pins of one device can be reached."""
        return self.run / f"{counter}-{device}.sock"

    def panel_port(self, counter: str) -> Path:
        """The name of the serial port of a counter's panel; it stays the same over an unplug."""
        return self.run / f"{counter}-panel"

    @property
    def lens_pipe(self) -> Path:
        """Where the drawn room comes from, as a video without an end."""
        return self.run / "lens.y4m"

    @property
    def lens_plot(self) -> Path:
        """What is to be seen there."""
        return self.run / "lens.json"

    @property
    def lens_picture(self) -> Path:
        """What is seen there, for the demo's page."""
        return self.run / "lens.jpg"

    @property
    def clips_key(self) -> Path:
        """The center's private key for the clear versions of recordings."""
        return self.folder / "clips.pem"

    def write(self) -> None:
        """Make the folders and write all configuration files."""
        for folder in (self.run, self.logs, self.center_data):
            folder.mkdir(parents=True, exist_ok=True)
        if self.camera is not None and not self.clips_key.exists():
            from host.sealing import make_keys

            replace_file(self.clips_key, make_keys()[0].encode())
        self.center_config.write_text(center_toml(self), "utf-8")
        for counter in self.counters:
            self.station_state(counter.id).mkdir(parents=True, exist_ok=True)
            self.station_config(counter.id).write_text(station_toml(self, counter), "utf-8")


def plan_counters(count: int) -> tuple[CounterPlace, ...]:
    """Return counters that share out the services; neighbours overlap, so that two officers draw from one queue."""
    if count < 1:
        raise ValueError(f"a center has at least one counter, got {count}")
    counters = []
    for index in range(count):
        own = [service.id for place, service in enumerate(SERVICES) if place % count == index % len(SERVICES)]
        shared = SERVICES[(index + 1) % min(count, len(SERVICES))].id
        services = tuple(dict.fromkeys([*(own or [SERVICES[index % len(SERVICES)].id]), shared]))
        counters.append(
            CounterPlace(
                id=f"q{index + 1:02d}",
                label=str(index + 1),
                services=services,
                codec=CODECS[index % len(CODECS)],
            )
        )
    return tuple(counters)


def center_toml(premises: Premises) -> str:
    """Return the center's configuration. The broker is a program of its own here, so that it can be stopped alone."""
    lines = [
        f"id = {_text(CENTER_ID)}",
        f"name = {_text(CENTER_NAME)}",
        f"data_dir = {_text(str(premises.center_data))}",
        f"timezone = {_text(premises.timezone)}",
        "",
        "[http]",
        f"host = {_text(HOST)}",
        f"port = {premises.http_port}",
        "",
        "[broker]",
        'kind = "external"',
        f"host = {_text(HOST)}",
        f"port = {premises.mqtt_port}",
        *(
            [
                f"ca_file = {_text(str(premises.center_data / 'keys' / 'root.pem'))}",
                f"cert_file = {_text(str(premises.center_data / 'keys' / 'center.pem'))}",
            ]
            if premises.keys
            else []
        ),
        "",
        "[rating]",
        f"scale = {_text(SCALE)}",
        f"arm_seconds = {premises.timing.arm_seconds}",
        "",
        "[tickets]",  # everybody who comes stands at a kiosk of this machine
        "burst = 100000",
        "per_minute = 1000000",
        f"kiosks = [{_text(HOST)}]",
    ]
    if premises.camera is not None:
        lines += ["", "[clips]", f"reveal_key_file = {_text(str(premises.clips_key))}"]
    for service in SERVICES:
        lines += ["", "[[service]]"]
        lines += [f"{name} = {_text(getattr(service, name))}" for name in ("id", "letter", "vi", "en")]
    for counter in premises.counters:
        lines += [
            "",
            "[[counter]]",
            f"id = {_text(counter.id)}",
            f"label = {_text(counter.label)}",
            f"services = [{', '.join(map(_text, counter.services))}]",
        ]
    return "\n".join(lines) + "\n"


def station_toml(premises: Premises, counter: CounterPlace) -> str:
    """Return the configuration that the devices of a counter share."""
    levels = ", ".join(
        f"{{level = {level.level}, pin = {RATING_BUTTONS[str(level.level)]}, led = {RATING_LEDS[str(level.level)]}}}"
        for level in SCALES[SCALE].levels
    )
    pads = [
        f"{name} = {{pin = {pin}, led = {CALLPAD_LEDS[name]}}}" for name, pin in CALLPAD_BUTTONS.items()
    ]  # fmt: skip
    return "\n".join(
        [
            f"center = {_text(CENTER_ID)}",
            f"station = {_text(counter.id)}",
            f"state_dir = {_text(str(premises.station_state(counter.id)))}",
            "",
            "[broker]",
            f"host = {_text(HOST)}",
            f"port = {premises.mqtt_port}",
            *([f"keys_dir = {_text(str(premises.keys_dir))}"] if premises.keys else []),
            "",
            "[device.rating]",
            f"scale = {_text(SCALE)}",
            f"buttons = [{levels}]",
            f"buzzer = {BUZZER}",
            f"debounce_ms = {premises.timing.debounce_ms}",
            f"thanks_ms = {premises.timing.thanks_ms}",
            "",
            "[device.callpad]",
            *pads,
            f"answer_within_ms = {premises.timing.callpad_answer_within_ms}",
            f"lockout_ms = {premises.timing.callpad_lockout_ms}",
            f"debounce_ms = {premises.timing.debounce_ms}",
            "",
            "[device.display]",
            f"codec = {_text(counter.codec)}",
            f"port = {_text(str(premises.panel_port(counter.id)))}",
            "",
            *(_camera_toml(premises, place) if (place := premises.camera) and place.counter == counter.id else []),
        ]
    )


def _camera_toml(premises: Premises, place: CameraPlace) -> list[str]:
    from host.sealing import public_text, read_private_key
    from simulator.scene import SCREEN, ZONES  # draws by OpenCV, which is there where a camera is

    def areas(key: str, zones: Sequence[Zone]) -> list[str]:
        points = [f"  {{ name = {_text(zone.name)}, points = {list(map(list, zone.points))} }}," for zone in zones]
        return [f"{key} = [", *points, "]"]

    return [
        "[device.camera]",
        'source = "file"',
        f"address = {_text(str(place.video or premises.lens_pipe))}",
        "loop = true",
        "fps = 10",
        f"waiting_s = {premises.timing.waiting_s}",
        *([f"model = {_text(str(place.model))}"] if place.model else []),
        f"center = {_text(premises.base_url)}",
        f"center_key = {_text(public_text(read_private_key(premises.clips_key.read_text('utf-8'))))}",
        "quota_mb = 500",
        *areas("zones", ZONES),
        *([] if place.video else areas("masks", SCREEN)),
        "",
    ]


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of its own."""
    return json.dumps(value, ensure_ascii=False)
