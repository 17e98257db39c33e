"""Writes clips from the rings to the disk, several at once, in a thread of its own.

What is missing on the disk, or of it, costs clips and is told; the cameras and the other devices never wait for it.
"""

import hashlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import av
import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from firmware.devices.camera.clips import SERVICE, Clip, Folder
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.mp4 import Muxer, beginning_at
from firmware.devices.camera.ring import Packet, Reader, Ring
from firmware.devices.camera.signals import Begin, Begun, End, Forget, Held, Hold, Kept, Read, Room, Unkept
from firmware.errors import MotcuaError
from firmware.ports import Clock, Post
from firmware.pulse import Pulse
from host.sealing import Sealer

_log = logging.getLogger(__name__)

LONGEST_MS = 2 * 3_600_000
"""A clip that nobody ends ends itself."""

AT_ONCE = 48
"""So many clips are recorded at one time: all that a center can ask for at once, and an incident of each kind."""
PANIC = "panic"

_PICTURES_LATE_MS = 5_000
"""A clip whose end is so long ago gets no more pictures: the camera is gone."""

_STEP_S = 0.5
_SWEEP_EVERY_MS = 30_000
_HANGS_AFTER_MS = 60_000
_CLOSE_WITHIN_S = 8.0

_FAULTS = (OSError, ValueError, av.FFmpegError, MotcuaError)
"""What a disk, FFmpeg or its binding raise: each costs the clip that it came with, and no other."""

Command = Begin | End | Hold | Forget
_T = TypeVar("_T")


class _File:
    """One version of a clip on the disk: only whole fragments or records, each of them synced before the next."""

    def __init__(self, path: Path, sealer: Sealer | None) -> None:
        self._sealer = sealer
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._digest = hashlib.sha256()
        self._waiting = sealer.head if sealer else b""
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def take(self, piece: bytes, *, last: bool = False) -> None:
        """Hold a piece for `write`, sealed if this is the sealed version."""
        if self._sealer is not None and (piece or last):
            piece = self._sealer.seal(piece, last=last)
        self._waiting += piece

    def write(self) -> None:
        """Write and sync what was taken. Where that fails the file stays as it was, and it may be tried again."""
        if not self._waiting:
            return
        try:
            written = 0
            while written < len(self._waiting):
                piece = memoryview(self._waiting)[written:]
                written += os.pwrite(self._descriptor, piece, self.size + written)
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self._digest.update(self._waiting)
        self.size += len(self._waiting)
        self._waiting = b""

    def close(self) -> None:
        os.close(self._descriptor)


class _Track:
    """One version of a clip: from its ring, from the exact beginning on, into its file."""

    def __init__(self, reader: Reader, file: _File, *, from_ms: int, size: tuple[int, int], fps: int) -> None:
        self._reader = reader
        self._file = file
        self._from_ms = from_ms
        self._size = size
        self._fps = fps
        self._muxer = Muxer(width=size[0], height=size[1], fps=fps)
        self._leading: list[Packet] = []  # a key frame before the beginning, and what hangs on it
        self._began = False
        self._last = Packet(0, 0, key=False, data=b"")
        self.ended = False
        self.first_ms: int | None = None
        self.end_ms = 0
        self.frames = 0
        self.lost = 0

    @property
    def file(self) -> _File:
        """Where it goes."""
        return self._file

    def step(self, until_ms: int) -> None:
        """Take what is new in the ring, up to the end."""
        if self.ended:
            return
        if self.frames and self._last.at_ms >= until_ms:
            self.end(None)  # it is asked to end after the fact
            return
        for packet in self._reader.read():
            if packet.at_ms >= until_ms:
                self.end(until_ms)
                return
            if packet.key and not self._began:
                self._begin()
                if packet.at_ms >= self._from_ms:
                    self._began = True
            if self._began:
                self._add(packet)
            elif packet.key or self._leading:
                self._leading.append(packet)

    def end(self, at_ms: int | None, *, last: bool = True) -> None:
        """End the file at a time, or with the last picture; not as its last record where more should have come."""
        if self.ended:
            return
        self._begin()
        self._file.take(self._muxer.end(at_ms), last=last)
        self.end_ms = self._muxer.end_ms
        self.ended = True

    def _begin(self) -> None:
        """Add those of the leading pictures that belong to the clip, if any does."""
        leading, self._leading = self._leading, []
        if leading and leading[-1].at_ms >= self._from_ms:
            self._began = True
            width, height = self._size
            for packet in beginning_at(self._from_ms, leading, Encoder(width=width, height=height, fps=self._fps)):
                self._add(packet)

    def _add(self, packet: Packet) -> None:
        if self.first_ms is None:
            self.first_ms = packet.at_ms
        else:
            self.lost += max(packet.number - self._last.number - 1, 0)
        self._last = packet
        self.frames += 1
        self._file.take(self._muxer.add(packet))
        self.end_ms = self._muxer.end_ms


class _Recording:
    """A clip that is being recorded: the version that may be shown, and the sealed one if there is a key."""

    def __init__(self, clip: Clip, tracks: Sequence[_Track]) -> None:
        self.clip = clip
        self.tracks = tracks
        self.until_ms = clip.start_ms + LONGEST_MS
        self.told = False

    def step(self, now_ms: int) -> bool:
        """Take what is new; return whether the clip is at its end, and be it that no picture comes any more."""
        late = now_ms >= self.until_ms + _PICTURES_LATE_MS
        for track in self.tracks:
            track.step(self.until_ms)
            if late:
                track.end(None)
        return all(track.ended for track in self.tracks)

    def interrupt(self) -> None:
        """End with what there is: there should have been more."""
        for track in self.tracks:
            track.step(self.until_ms)
            track.end(None, last=False)

    def finished(self, now: datetime, now_ms: int) -> Clip:
        """Return what the sidecar says of a clip that has at least one picture."""
        shown, sealed = self.tracks[0], self.tracks[1].file if self.tracks[1:] else None
        first_ms = shown.first_ms or 0
        return msgspec.structs.replace(
            self.clip,
            start=now - timedelta(milliseconds=now_ms - first_ms),
            start_ms=first_ms,
            seconds=(shown.end_ms - first_ms) / 1000,
            frames=shown.frames,
            lost=shown.lost,
            bytes=shown.file.size,
            sha256=shown.file.sha256,
            sealed_bytes=sealed.size if sealed else 0,
            sealed_sha256=sealed.sha256 if sealed else "",
            recording=False,
        )

    def close(self) -> None:
        """Close the files; nothing more can be written."""
        for track in self.tracks:
            track.file.close()


class Recorder:
    """The clips that are being recorded. `do` may be called by any thread and never waits; the rest is for one.

    `clear` is the ring of the version that is sealed for the center's key; without the key there is none.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        shown: Ring,
        clear: tuple[Ring, X25519PublicKey] | None,
        size: tuple[int, int],
        fps: int,
        service_kept_s: int,
        clock: Clock,
        post: Post,
    ) -> None:
        self._folder = folder
        self._shown = shown
        self._clear = clear
        self._size = size
        self._fps = fps
        self._service_kept_s = service_kept_s
        self._clock = clock
        self._post = post
        self._pulse = Pulse(limit_ms=_HANGS_AFTER_MS, monotonic_ms=clock.monotonic_ms)
        self._mail: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

        # Below: the thread's own.
        self._recordings: dict[str, _Recording] = {}
        self._room: Room | None = None
        self._tight = False
        self._sweep_at_ms = 0
        self._unread: list[Hold] | None = None  # what is asked of clips while their folder cannot be read

    def start(self) -> None:
        """Start the thread: first it completes the clips that a power cut left."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def do(self, command: Command) -> None:
        """Have a command carried out."""
        self._mail.put(command)

    def alive(self) -> bool:
        """Whether the thread runs and does not hang on the disk."""
        return self._thread is not None and self._thread.is_alive() and not self._pulse.lost()

    def stop(self) -> None:
        """Tell the thread to end, and wait for nothing."""
        self._mail.put(None)

    def close(self, within_s: float = _CLOSE_WITHIN_S) -> None:
        """Stop the thread. What is being recorded ends here; the next start completes it, as after a power cut."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.stop()
        thread.join(within_s)
        if thread.is_alive():
            _log.error("the disk of the clips hangs")

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._pulse.beat()
            self.begin()
            while True:
                self._pulse.beat()
                with suppress(queue.Empty):
                    command = self._mail.get(timeout=_STEP_S)
                    while command is not None:
                        self.take(command)
                        command = self._mail.get_nowait()
                    return
                self.step()
        finally:
            self.cut()

    def begin(self) -> None:
        """Complete the clips that a power cut left, and tell of all that are not merely of services.

        Of some of them nobody may have heard: the power was cut between the clip and the word of it. Where the folder
        cannot be read it is tried again before each sweep.
        """
        self._open()

    def _open(self) -> None:
        told = {clip.id for clip in self._folder.clips()}
        try:
            self._folder.open(self._pulse.beat)
        except OSError as error:
            if self._unread is None:
                self._unread = []
                _log.error("the clips cannot be read: %s; trying again", error)
            self._sweep()
            return
        for clip in self._folder.clips():
            if not clip.recording and clip.why != SERVICE and clip.id not in told:
                self._post(_kept(clip))
        waiting, self._unread = self._unread, None
        if waiting is not None:
            _log.info("the clips can be read again")
        for hold in waiting or ():
            self._hold(hold)
        self._sweep()
        self._post(Read())

    def take(self, command: Command) -> None:
        """Carry out a command."""
        match command:
            case Begin():
                self._begin(command)
            case End(clip=id_, at_ms=at_ms, after_ms=after_ms):
                if (recording := self._recordings.get(id_)) is not None:
                    recording.until_ms = min(recording.until_ms, at_ms + after_ms)
            case Hold():
                self._hold(command)
            case Forget(clip=id_):
                self._forget(id_)

    def step(self) -> None:
        """Write what is new, end what is over, and make room when it is time."""
        now_ms = self._clock.monotonic_ms()
        for recording in list(self._recordings.values()):
            try:
                over = recording.step(now_ms)
                for track in recording.tracks:
                    self._retried(track.file.write)
            except _FAULTS as error:
                self._fail(recording, str(error))
            else:
                self._tell_begun(recording)
                if over:
                    self._finish(recording)
        if now_ms >= self._sweep_at_ms:
            if self._unread is None:
                self._sweep()
            else:
                self._open()

    def cut(self) -> None:
        """End what is being recorded where it is; the next start completes it."""
        for recording in self._recordings.values():
            try:
                recording.interrupt()
                for track in recording.tracks:
                    track.file.write()
            except _FAULTS as error:
                _log.warning("%s lost its last second: %s", recording.clip.id, error)
            recording.close()
        self._recordings.clear()

    def _begin(self, command: Begin) -> None:
        if self._folder.clip(command.clip) is not None:  # asked for again
            if command.clip not in self._recordings:
                self._post(Begun(command.clip))
            return
        if len(self._recordings) >= AT_ONCE and command.why != PANIC:
            self._unkept(command.clip, f"{AT_ONCE} others are being recorded")
            return
        now_ms, from_ms = self._clock.monotonic_ms(), command.at_ms - command.before_ms
        clip = Clip(
            id=command.clip,
            why=command.why,
            held=command.held,
            ticket=command.ticket,
            asked=() if command.asked is None else (command.asked,),
            name=None if command.asked is None or self._folder.knows(command.asked) else command.asked,
            keep_s=self._service_kept_s if command.why == SERVICE else None,
            start=self._clock.now() - timedelta(milliseconds=now_ms - from_ms),
            boot=self._clock.boot_id,
            start_ms=from_ms,
        )
        self._sweep()
        try:
            if self._folder.is_full():
                why = "the quota is full of clips that may not be deleted: review them, or raise quota_mb"
                self._unkept(clip.id, why)
                return
            self._retried(lambda: self._folder.add(clip))
        except (OSError, ValueError) as error:
            self._unkept(clip.id, str(error))
            return
        tracks: list[_Track] = []
        try:
            tracks.append(self._track(self._shown, self._folder.video(clip.id), None, from_ms))
            if self._clear is not None:
                ring, public = self._clear
                tracks.append(self._track(ring, self._folder.sealed(clip.id), Sealer(public, clip.id), from_ms))
        except _FAULTS as error:
            for track in tracks:
                track.file.close()
            self._drop(clip.id, str(error))
            return
        self._recordings[clip.id] = _Recording(clip, tracks)

    def _track(self, ring: Ring, path: Path, sealer: Sealer | None, from_ms: int) -> _Track:
        file = _File(path, sealer)
        try:
            return _Track(ring.reader(from_ms), file, from_ms=from_ms, size=self._size, fps=self._fps)
        except BaseException:
            file.close()
            raise

    def _tell_begun(self, recording: _Recording) -> None:
        """Say once that a clip is on the disk: from here on a power cut leaves some of it."""
        if not recording.told and recording.tracks[0].file.size:
            recording.told = True
            self._post(Begun(recording.clip.id))

    def _hold(self, command: Hold) -> None:
        if self._unread is not None:  # said to be done when all clips are known
            self._unread.append(command)
            with suppress(OSError):
                self._folder.hold(command.ticket, command.clip, command.why)
            return
        try:
            found = self._retried(lambda: self._folder.hold(command.ticket, command.clip, command.why))
        except OSError as error:
            self._unkept(command.clip, f"it cannot be held: {error}")
            return
        self._post(Held(command.clip, tuple(clip.id for clip in found)))
        self._tell_room()

    def _forget(self, id_: str) -> None:
        clip = self._folder.clip(id_)
        if clip is None or clip.held:
            return
        if (recording := self._recordings.pop(id_, None)) is not None:
            recording.close()
        self._delete(id_)
        self._tell_room()

    def _finish(self, recording: _Recording) -> None:
        """Say what a clip has become."""
        del self._recordings[recording.clip.id]
        recording.close()
        if recording.tracks[0].first_ms is None:
            self._drop(recording.clip.id, "no picture came in its time")
            return
        clip = recording.finished(self._clock.now(), self._clock.monotonic_ms())
        try:
            self._retried(lambda: self._folder.change(clip))
        except OSError as error:
            self._complete(clip.id, str(error))
            return
        self._post(_kept(clip))
        self._sweep()

    def _fail(self, recording: _Recording, why: str) -> None:
        """Keep what is on the disk of a clip that cannot go on."""
        del self._recordings[recording.clip.id]
        recording.close()
        self._complete(recording.clip.id, why)

    def _complete(self, id_: str, why: str) -> None:
        self._unkept(id_, why)
        if (clip := self._folder.complete(id_, self._pulse.beat)) is not None:
            self._post(_kept(clip))
        self._sweep()

    def _drop(self, id_: str, why: str) -> None:
        self._delete(id_)
        self._unkept(id_, why)

    def _delete(self, id_: str) -> None:
        try:
            self._folder.delete(id_)
        except OSError as error:
            _log.warning("%s cannot be deleted: %s", id_, error)

    def _unkept(self, id_: str, why: str) -> None:
        _log.warning("the clip %s: %s", id_, why)
        self._post(Unkept(id_, why))

    def _retried(self, what: Callable[[], _T]) -> _T:
        """Do it; where the disk is full, make room and do it again."""
        try:
            return what()
        except OSError:
            self._sweep()
            return what()

    def _sweep(self) -> None:
        self._sweep_at_ms = self._clock.monotonic_ms() + _SWEEP_EVERY_MS
        try:
            self._tight = self._folder.sweep() or self._unread is not None
        except OSError as error:
            _log.debug("nothing can be deleted: %s", error)
            self._tight = True
        self._tell_room()

    def _tell_room(self) -> None:
        clips = self._folder.clips()
        room = Room(len(clips), sum(clip.held for clip in clips), self._tight)
        if room != self._room:
            self._room = room
            self._post(room)


def _kept(clip: Clip) -> Kept:
    return Kept(clip=clip.id, start=clip.start, seconds=clip.seconds, bytes=clip.bytes, sha256=clip.sha256)
