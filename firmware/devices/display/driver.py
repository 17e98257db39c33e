"""The panel's own thread: takes the latest sign, writes it, keeps it there through unplug and power cut."""

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Generic

from firmware.devices.display.codecs import Codec, KnownT, Page
from firmware.devices.display.faults import PanelError
from firmware.devices.display.port import Port
from firmware.devices.display.signs import PortBack, PortLost, Show, Shown
from firmware.ports import Post
from firmware.pulse import Pulse

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often one piece is written before a panel that should answer counts as lost."""

RETRY_FIRST_MS = 200
RETRY_LAST_MS = 5_000
CLOSE_WITHIN_S = 5.0
HANGS_AFTER_MS = 30_000
"""A port that is opened, or one exchange on it, takes a few seconds at most: every wait of ours is bounded."""


class PanelDriver(Generic[KnownT]):
    """One panel on one port. `drive` replaces whatever was not shown yet: only the latest sign is worth the wire."""

    def __init__(
        self,
        *,
        name: str,
        codec: Codec[KnownT],
        open_port: Callable[[], Port],
        monotonic_ms: Callable[[], int],
        answer_within_ms: int = 300,
        silence_ms: int = 0,
        hangs_after_ms: int = HANGS_AFTER_MS,
    ):
        self._name = name
        self._codec = codec
        self._open_port = open_port
        self._monotonic_ms = monotonic_ms
        self._answer_within_ms = answer_within_ms
        self._silence_ms = silence_ms
        self._pulse = Pulse(limit_ms=hangs_after_ms, monotonic_ms=monotonic_ms)

        self._post: Post = _nowhere
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._mail: Show | None = None  # the one slot: written by drive(), read by the thread
        self._bell: tuple[int, int] | None = None

        # Below: the thread's own.
        self._port: Port | None = None
        self._lost: str | None = None
        self._retry_ms = RETRY_FIRST_MS
        self._show: Show | None = None
        self._told = False
        self._pages: tuple[Page, ...] = ()
        self._page = 0
        self._turn_at_ms: int | None = None
        self._known: KnownT | None = None
        self._repeat_at_ms = 0
        self._proven_ms = 0

    def open(self, post: Post) -> None:
        """Start the thread. A port that is missing or busy is its affair: it tries until the port is there."""
        self._post = post
        self._stop.clear()
        self._bell = os.pipe()
        for end in self._bell:
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._run, name=f"panel-{self._name}", daemon=True)
        self._thread.start()

    def drive(self, show: Show) -> None:
        """Have a sign shown next; returns at once."""
        self._mail = show
        self._ring()

    def alive(self) -> bool:
        """Whether the thread runs and does not hang in its port."""
        return self._thread is not None and self._thread.is_alive() and not self._pulse.lost()

    def close(self) -> None:
        """Stop the thread; the panel keeps what it shows."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        self._ring()
        thread.join(CLOSE_WITHIN_S)
        if thread.is_alive():
            _log.error("%s: the panel's thread hangs in its port; unplug the adapter", self._name)
            return
        if self._bell is not None:
            for end in self._bell:
                os.close(end)
            self._bell = None

    def _ring(self) -> None:
        if self._bell is not None:
            try:
                os.write(self._bell[1], b"\0")
            except BlockingIOError:
                return  # it rings already

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._step()
                except PanelError as fault:
                    self._lose(fault)
        finally:
            self._let_go()

    def _step(self) -> None:
        self._pulse.beat()
        if self._port is None:
            self._port = self._open_port()
            self._known = None
            self._told = False
            if self._lost is not None and self._mail is None:
                self._found()
                self._say(PortBack())
        self._take_mail()
        now_ms = self._monotonic_ms()
        if self._show is not None:
            self._turn_page(now_ms)
            picture = self._pages[self._page].picture
            known, painting = self._known, self._codec.paint(picture, self._known)
            if known is not None and not painting.pieces and not self._told:
                painting = self._codec.affirm(known)
            if painting.pieces:
                self._write(painting.pieces)
                self._known = painting.known
                if known is None:
                    self._schedule_repeat()
            elif known is not None and now_ms >= self._repeat_at_ms:
                self._repeat(known)
            self._tell(self._show)
        self._wait(self._next_ms())

    def _take_mail(self) -> None:
        show = self._mail
        if show is self._show or show is None:
            return
        self._show = show
        self._told = False
        self._pages = self._codec.pages(show.sign)
        self._page = 0
        self._turn_at_ms = None

    def _turn_page(self, now_ms: int) -> None:
        if len(self._pages) == 1:
            return
        if self._turn_at_ms is None:
            self._turn_at_ms = now_ms + self._pages[self._page].hold_ms
        elif now_ms >= self._turn_at_ms:
            self._page = (self._page + 1) % len(self._pages)
            self._turn_at_ms = now_ms + self._pages[self._page].hold_ms

    def _next_ms(self) -> int | None:
        if self._show is None:
            return None
        return self._repeat_at_ms if self._turn_at_ms is None else min(self._turn_at_ms, self._repeat_at_ms)

    def _repeat(self, known: KnownT) -> None:
        """Write the picture again; a new sign waits for one piece of it at most."""
        for piece in self._codec.repeat(known).pieces:
            if self._mail is not self._show:
                return
            self._write((piece,))
        self._schedule_repeat()

    def _schedule_repeat(self) -> None:
        self._repeat_at_ms = self._monotonic_ms() + round(self._codec.refresh_s * 1000)

    def _write(self, pieces: tuple[bytes, ...]) -> None:
        for piece in pieces:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._exchange(piece)
                    break
                except PanelError as fault:
                    if (
                        attempt == ATTEMPTS
                        or self._stop.is_set()
                        or fault.trouble not in ("panel_silent", "panel_garbled")
                    ):
                        raise
                    _log.debug("%s: attempt %d: %s", self._name, attempt, fault)

    def _exchange(self, piece: bytes) -> None:
        """Take the line for one piece."""
        self._pulse.beat()
        port = self._port
        if port is None:
            raise PanelError("port_missing", "the port is closed")
        with port.turn():
            self._ask(port, piece)

    def _ask(self, port: Port, piece: bytes) -> None:
        """Write one piece, wait for its answer where there is one, and for the silence that ends a frame."""
        if self._codec.proof == "echoed":
            port.discard()
        port.write(piece)
        received = b""
        until_ms = self._monotonic_ms() + self._answer_within_ms
        while not self._codec.answered(piece, received):
            more = port.read((until_ms - self._monotonic_ms()) / 1000)
            received += more
            if not more and self._monotonic_ms() >= until_ms:
                raise _unanswered(received)
        self._proven_ms = self._monotonic_ms()
        if self._silence_ms:
            self._stop.wait(self._silence_ms / 1000)  # silence alone tells two frames of a line apart

    def _tell(self, show: Show) -> None:
        """Say once that this sign is up; and that the panel is back."""
        if self._told:
            return
        self._told = True
        self._found()
        text = " / ".join(line.strip() for line in self._pages[0].picture if line.strip())
        self._say(Shown(show=show, text=text, proof=self._codec.proof, at_ms=self._proven_ms))

    def _found(self) -> None:
        """Say once that port and panel work again."""
        if self._lost is not None:
            _log.info("%s: the panel is back", self._name)
            self._lost = None
        self._retry_ms = RETRY_FIRST_MS

    def _say(self, signal: object) -> None:
        try:
            self._post(signal)
        except Exception:  # noqa: BLE001 - whatever is wrong with the inbox, the panel must go on
            _log.exception("%s: a signal was lost inside the program; report this", self._name)

    def _lose(self, fault: PanelError) -> None:
        """Let the port go, say why once, and come back later."""
        self._let_go()
        if fault.trouble == self._lost:
            _log.debug("%s: still: %s", self._name, fault)
        else:
            self._lost = fault.trouble
            _log.warning("%s: %s", self._name, fault)
            self._say(PortLost(trouble=fault.trouble))
        self._wait(self._monotonic_ms() + self._retry_ms, answer_bell=False)
        self._retry_ms = min(self._retry_ms * 2, RETRY_LAST_MS)

    def _let_go(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except PanelError as fault:
                _log.debug("%s: %s", self._name, fault)

    def _wait(self, until_ms: int | None, *, answer_bell: bool = True) -> None:
        """Sleep until then, a new sign, a hang-up of the port, or the end."""
        if self._bell is None:
            return
        poll = select.poll()
        poll.register(self._bell[0], select.POLLIN)
        port = self._port
        if port is not None:
            poll.register(port.fileno(), 0)  # bytes do not wake it, an unplugged adapter does
        while not self._stop.is_set():
            timeout = None if until_ms is None else until_ms - self._monotonic_ms()
            if timeout is not None and timeout <= 0:
                return
            self._pulse.rest()
            ready = poll.poll(timeout)
            self._pulse.beat()
            for descriptor, _ in ready:
                if descriptor != self._bell[0]:
                    raise PanelError("port_missing", "the port was unplugged: plug it in again")
                os.read(self._bell[0], 4096)
                if answer_bell:
                    return


def _unanswered(received: bytes) -> PanelError:
    if received:
        return PanelError(
            "panel_garbled",
            f"the panel's answer breaks off after {received.hex(' ')}: check cable, shield and baud rate",
        )
    return PanelError(
        "panel_silent",
        "the panel does not answer: check its power, the A/B wires, and `unit` and `baud` in the configuration",
    )


def _nowhere(signal: object) -> None:
    """Stand in for the inbox until the driver is opened."""
