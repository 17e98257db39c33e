"""A broker as a child process: started, watched, started again when it dies."""

import contextlib
import errno
import importlib.util
import logging
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from center.config import Broker
from center.errors import BrokerError, BusyError

log = logging.getLogger(__name__)

READY_S = 15.0
STOP_S = 3.0
FIRST_BACK_OFF_S = 0.1
LAST_BACK_OFF_S = 10.0
_STEADY_S = 30.0  # one that ran so long starts again without delay
_ORPHAN_S = 3.0  # a broker of a center that was killed lets the port go in this time
# MQTT 3.1.1, sections 3.1 and 3.14: clean session, keep alive 5 s, client id "up".
_CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x05\x00\x02up"
_DISCONNECT = b"\xe0\x00"
_SBIN = "/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerKeys:
    """What a broker needs that lets in only who has a key."""

    root_file: Path
    broker_file: Path
    center_file: Path
    revoked_file: Path
    acl_file: Path


class Starter(Protocol):
    """Knows how one kind of broker is started."""

    name: str

    def command(self) -> Sequence[str]:
        """Write what the program reads, if anything, and return its command line."""
        ...


class MosquittoStarter:
    """Debian's mosquitto, in memory only, with a configuration made for this center."""

    name = "mosquitto"

    def __init__(self, program: str, config: Broker, data_dir: Path, keys: BrokerKeys | None = None) -> None:
        self._program, self._config, self._keys = program, config, keys
        self._file = data_dir / "mosquitto.conf"

    def command(self) -> Sequence[str]:
        """Write the configuration; raise BrokerError if that cannot be."""
        access = "# Loopback: whoever is on this machine may connect.\nallow_anonymous true"
        if (keys := self._keys) is not None:
            # The name of the certificate is the user's name. Client ids are left as they are: each is made up anew, so
            # nobody can guess another's, and two machines with one name can hear of each other.
            access = f"""# Who has a key comes in, and may do what the access list says.
allow_anonymous false
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
cafile {keys.root_file}
certfile {keys.broker_file}
keyfile {keys.broker_file}
crlfile {keys.revoked_file}
acl_file {keys.acl_file}"""
        # Nothing is kept: sessions are clean, retained states come again from the center, facts wait in the devices.
        # The queue holds what all devices together may have on the way to the center (20 each).
        text = f"""# Made by motcua center serve at each start.
listener {self._config.port} {self._config.host}
{access}
persistence false
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 10000
max_packet_size 262144
connection_messages false
log_dest stderr
log_type error
log_type warning
"""
        if os.geteuid() == 0:
            text += "user root\n"  # it would become a user who may not read the data folder
        try:
            self._file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BrokerError(f"{self._file}: cannot be written: {error.strerror}; check data_dir") from error
        return [self._program, "-c", str(self._file)]


class AmqttStarter:
    """The built-in broker, for machines without mosquitto."""

    name = "amqtt"

    def __init__(self, config: Broker) -> None:
        self._config = config

    def command(self) -> Sequence[str]:
        """Return its command line."""
        return [sys.executable, "-m", "center.broker.amqtt_process", self._config.host, str(self._config.port)]


def make_broker(config: Broker, data_dir: Path, keys: BrokerKeys | None = None) -> "BrokerProcess | None":
    """Return the broker that the configuration asks for, or None where somebody else runs it."""
    if config.kind == "external":
        return None
    if config.secured and keys is None:
        raise BrokerError(f"broker.host {config.host} can be reached from other machines, and there are no keys")
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if config.kind == "mosquitto" and program is None:
        raise BrokerError('mosquitto is not installed: sudo apt install mosquitto, or set broker.kind = "amqtt"')
    if config.kind != "amqtt" and program is not None:
        return BrokerProcess(MosquittoStarter(program, config, data_dir, keys), config, keys)
    if config.secured:
        # It would let a key take over the connection, and so the rights, of another: docs/design/keys.md.
        raise BrokerError(f"broker.host {config.host} needs keys, and so mosquitto: sudo apt install mosquitto")
    if importlib.util.find_spec("amqtt") is None:
        raise BrokerError("neither mosquitto nor amqtt is installed: sudo apt install mosquitto")
    return BrokerProcess(AmqttStarter(config), config)


class BrokerProcess:
    """A supervised broker. Its thread starts the child and must outlive it: the kernel ties the one to the other."""

    def __init__(self, starter: Starter, config: Broker, keys: BrokerKeys | None = None) -> None:
        self.name = starter.name
        self._keys = keys
        self._starter, self._host, self._port = starter, config.host, config.port
        self._connect_host = config.connect_host
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="broker", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._fault: Exception | None = None
        self.ends = 0
        """How often it has ended by itself."""
        self._up = False
        self._restart = threading.Event()
        self._wake, self._waker = socket.socketpair()

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        process = self._process
        return process.pid if process is not None else None

    def start(self) -> None:
        """Start it and return once it answers; raise BusyError or BrokerError with what to do."""
        self._await_port()
        self._thread.start()
        ready = self._ready.wait(READY_S)
        if self._fault is not None or not ready:
            self.stop()
            raise self._fault or BrokerError(f"{self.name} does not answer on {self._host}:{self._port}; see its log")

    def stop(self) -> None:
        """End it; bounded, safe to call twice."""
        self._stop.set()
        self._waker.close()  # makes the other end readable
        if self._thread.is_alive():
            self._thread.join(2 * STOP_S + 1)
        self._wake.close()

    def reload(self) -> None:
        """Let it read its files again; connections stay. Any thread."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def restart(self) -> None:
        """End it and start it again, so that every connection is made anew. Any thread."""
        self._restart.set()
        with contextlib.suppress(OSError):  # stopped meanwhile
            self._waker.send(b".")

    def alive(self) -> bool:
        """Whether it is being watched."""
        return self._thread.is_alive()

    def _await_port(self) -> None:
        """Return when the port is free; the broker of a center that was killed needs a moment to let it go."""
        deadline = time.monotonic() + _ORPHAN_S
        while (reason := _port_taken(self._host, self._port)) and time.monotonic() < deadline:
            self._stop.wait(0.05)
        if reason:
            raise BusyError(
                f"MQTT port {self._port} on {self._host} {reason}; is another broker there? Stop it, set broker.port to"
                ' a free one, or set broker.kind = "external" to use it'
            )

    def _supervise(self) -> None:
        back_off_s = FIRST_BACK_OFF_S
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                code = self._run_once()
            except (OSError, BrokerError) as error:
                self._fault = error if isinstance(error, BrokerError) else BrokerError(f"{self.name}: {error}")
                log.warning("%s cannot be started: %s", self.name, error)
                code = -1
            if self._stop.is_set():
                break
            if self._restart.is_set() and self._ready.is_set():
                self._restart.clear()
                self._up = False
                continue
            if not self._ready.is_set():
                self._fault = self._fault or BrokerError(
                    f"{self.name} ended at once, with code {code}: see its lines above"
                )
                self._ready.set()
                break
            if time.monotonic() - started > _STEADY_S:
                back_off_s = FIRST_BACK_OFF_S
            self.ends += 1
            say = log.warning if self._up else log.debug  # once, however often it dies before it answers again
            say("%s ended with code %s; it is started again, devices keep their events meanwhile", self.name, code)
            self._up = False
            self._stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, LAST_BACK_OFF_S)

    def _run_once(self) -> int:
        """Run the child to its end; returns its exit code."""
        command = [sys.executable, "-m", "center.broker.leash", str(os.getpid()), *self._starter.command()]
        # A session of its own: Ctrl-C in a terminal is for the center, which stops the broker last.
        process = self._process = subprocess.Popen(  # noqa: S603 – our own words
            command, stdin=subprocess.DEVNULL, start_new_session=True
        )
        ended = os.pidfd_open(process.pid)
        try:
            while process.poll() is None and not self._stop.is_set() and not (self._up and self._restart.is_set()):
                if self._up:
                    readable, _, _ = select.select([ended, self._wake.fileno()], [], [])
                    if self._wake.fileno() in readable:
                        self._wake.recv(16)
                elif _answers(self._connect_host, self._port, self._keys):
                    log.info("%s listens on %s:%d", self.name, self._host, self._port)
                    self._up = True
                    self._ready.set()
                else:
                    self._stop.wait(0.02)
        finally:
            os.close(ended)
            _end(process)
            self._process = None
        return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def _answers(host: str, port: int, keys: BrokerKeys | None) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1) as sock:
            if keys is not None:
                with _as_center(keys).wrap_socket(sock, server_hostname=host) as tls, contextlib.suppress(OSError):
                    tls.unwrap()  # a goodbye, or the broker complains
                return True
            sock.sendall(_CONNECT)
            answered = sock.recv(1) == b"\x20"  # CONNACK, whatever it says
            sock.sendall(_DISCONNECT)
            return answered
    except OSError:
        return False


def _as_center(keys: BrokerKeys) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(keys.root_file)
    context.load_cert_chain(keys.center_file)
    return context


def _port_taken(host: str, port: int) -> str:
    """Return why nobody can listen there, or nothing."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror})"
    return ""
