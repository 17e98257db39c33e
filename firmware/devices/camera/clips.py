"""The folder of clips, and what goes when there is no more room.

A clip is `<id>.mp4`, with a public key also `<id>.sealed`, and its sidecar `<id>.json`, which says what it is. The
sidecar is the first to come and the last to go; what has none is somebody else's and is left alone.
"""

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from firmware.devices.camera import mp4
from firmware.ports import Clock
from host import sealing
from host.files import replace_file

_log = logging.getLogger(__name__)

SPARE_BYTES = 256 * 1024 * 1024
"""What other programs on the disk shall always find: a press must find room in its outbox."""

SERVICE = "service"
"""Why a clip is kept that goes after a while unless somebody holds it."""

_TIGHT_SHARE = 0.9
_PIECE = 1024 * 1024
_ONE_YEAR_S = 366 * 86_400
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_UNFINISHED = re.compile(r"\.(.+)\.json\.new", re.ASCII)  # what host.files leaves where the power was cut


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A sidecar."""

    id: str
    why: str
    held: bool
    """It is not deleted before the center has it."""
    asked: tuple[str, ...] = ()
    """The names by which it was asked for."""
    name: str | None = None
    """What the center knows it by; None: by its id."""
    sent: bool = False
    """The center has the version that may be shown."""
    ticket: str | None = None
    keep_s: Annotated[int, msgspec.Meta(ge=0, le=_ONE_YEAR_S)] | None = None
    """How many seconds after its end it goes if nobody holds it; None: when room is needed."""
    start: Annotated[datetime, msgspec.Meta(tz=True)]
    """The first picture, on the wall clock."""
    boot: str
    start_ms: Annotated[int, msgspec.Meta(le=100 * _ONE_YEAR_S * 1000)]
    """The same on the clock that never steps, of that boot."""
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    frames: int = 0
    lost: int = 0
    """Pictures that are missing in it."""
    bytes: int = 0
    sha256: str = ""
    sealed_bytes: int = 0
    sealed_sha256: str = ""
    recording: bool = True
    cut: bool = False
    """It ends before it should: the power, the program or the disk failed."""

    @property
    def size(self) -> int:
        """The bytes of both files."""
        return self.bytes + self.sealed_bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant on both clocks of a boot, and for how long the clips of earlier boots have lain here since."""

    boot: str
    at_ms: int
    now: datetime
    run_ms: int = 0
    clock_is_set: bool = True

    def start_of(self, clip: Clip) -> datetime:
        """Return when a clip began: by the clock that never steps, or, from an earlier boot, as it says itself."""
        if clip.boot != self.boot:
            return clip.start
        return self.now - timedelta(milliseconds=self.at_ms - clip.start_ms)

    def latest_start_of(self, clip: Clip) -> datetime:
        """The same, but for a clip whose date lies in the future: it is older than this run, whatever it says."""
        start = self.start_of(clip)
        if clip.boot == self.boot or not self.clock_is_set:
            return start
        return min(start, self.now - timedelta(milliseconds=self.run_ms))


def to_delete(clips: Iterable[Clip], moment: Moment, *, quota: int, missing: int) -> list[Clip]:
    """Return what goes now. Held clips and those that are being recorded stay, whatever happens.

    What is kept for a time goes after it. Of the others goes first what the center can show, and then the oldest,
    while all clips have more than `quota` bytes or `missing` bytes more must be free on the disk.
    """
    every = list(clips)
    free = [clip for clip in every if not clip.held and not clip.recording]
    free.sort(key=lambda clip: (not clip.sent, moment.latest_start_of(clip)))
    gone = [clip for clip in free if _is_over(clip, moment)]
    excess = max(sum(clip.size for clip in every) - quota, missing) - sum(clip.size for clip in gone)
    for clip in free:
        if excess <= 0:
            break
        if clip not in gone:
            gone.append(clip)
            excess -= clip.size
    return gone


def is_tight(clips: Iterable[Clip], *, quota: int, missing: int) -> bool:
    """Whether a person must make room: what may not be deleted nears the quota, or the disk is filled by others."""
    return missing > 0 or sum(clip.size for clip in clips if clip.held) >= _TIGHT_SHARE * quota


def _is_over(clip: Clip, moment: Moment) -> bool:
    """Whether its time is over: by the wall clock, or because it has lain here so long in this run alone."""
    if clip.keep_s is None:
        return False
    if clip.boot != moment.boot and moment.run_ms >= clip.keep_s * 1000:
        return True
    return moment.now >= moment.start_of(clip) + timedelta(seconds=clip.seconds + clip.keep_s)


class Folder:
    """The clips of one camera. Any thread may call it; raises OSError where the disk does not do as it should.

    Two have it: the recorder, which adds clips and makes room, and the courier, which deletes what the center has.
    """

    def __init__(self, path: Path, *, quota_bytes: int, clock: Clock, spare_bytes: int = SPARE_BYTES) -> None:
        self._path = path
        self._quota = quota_bytes
        self._spare = spare_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._clips: dict[str, Clip] = {}
        self._began_ms = clock.monotonic_ms()
        self._unreadable: set[str] = set()  # of those that were being recorded: nobody knows what is in them

    def open(self, moves: Callable[[], None] = lambda: None) -> list[Clip]:
        """Read what is there. Return the clips that were being recorded when the program ended, now completed.

        `moves` is called again and again while that takes long. One file that the card does not give back costs itself.
        Where the folder itself cannot be read it raises OSError and may be called again, also while clips are recorded.
        """
        with self._lock:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found: list[Clip] = []
            for file in sorted(self._path.iterdir()):
                moves()
                if _UNFINISHED.fullmatch(file.name):
                    with _said_of(file):
                        file.unlink()
                elif file.suffix == ".json" and file.stem not in self._clips and (clip := _read(file)) is not None:
                    found.append(clip)
            self._clips.update({clip.id: clip for clip in found})
            for clip in [clip for clip in found if not clip.recording]:
                moves()
                with _said_of(self.video(clip.id)):
                    if not self._is_there(clip):
                        self.delete(clip.id)  # the power was cut while it was deleted
            halves = [clip for clip in found if clip.recording]
            return [whole for half in halves if (whole := self._completed(half, moves)) is not None]

    def clips(self) -> list[Clip]:
        """Return all clips, those that are being recorded too."""
        with self._lock:
            return list(self._clips.values())

    def clip(self, id_: str) -> Clip | None:
        """Return one clip, None where there is none by this id."""
        with self._lock:
            return self._clips.get(id_)

    def video(self, id_: str) -> Path:
        """Return where the version is that may be shown."""
        return self._path / f"{id_}.mp4"

    def sealed(self, id_: str) -> Path:
        """Return where the version is that only the center can read; it need not exist."""
        return self._path / f"{id_}.sealed"

    def add(self, clip: Clip) -> None:
        """Write a new clip's sidecar; raise ValueError where its id is taken or cannot be a file's name."""
        with self._lock:
            if not _ID.fullmatch(clip.id):
                raise ValueError(f"{clip.id!r} cannot be the name of a file")
            if clip.id in self._clips or any(each.exists() for each in self._files(clip.id)):
                raise ValueError("there is a clip by this id already")
            self._save(clip)

    def change(self, clip: Clip) -> None:
        """Write a clip's sidecar anew. What was held or asked for in the meantime stays so.

        Raise OSError where somebody deleted the clip by hand while it was recorded.
        """
        with self._lock:
            now = self._clips.get(clip.id, clip)
            if clip.id not in self._clips and not self._is_there(clip):
                self.delete(clip.id)
                raise FileNotFoundError("somebody deleted it while it was recorded")
            held = now.held or clip.held
            self._save(msgspec.structs.replace(clip, held=held, asked=now.asked, why=now.why, name=now.name))

    def hold(self, ticket: str, name: str, why: str) -> list[Clip]:
        """Keep every clip of a ticket until the center has it, asked for by this name; return them.

        The center knows the first of its services by that name; the others, and its incidents, by their own ids. It
        holds in memory even where the sidecar cannot be written, so that nobody makes room for it with the clip. A low
        rating says more of a service than that it was drawn by lot.
        """
        with self._lock:
            found = [
                msgspec.structs.replace(
                    clip,
                    held=True,
                    asked=tuple(dict.fromkeys((*clip.asked, name))),
                    why=why if clip.why == SERVICE or (clip.why, why) == ("sample", "low_rating") else clip.why,
                )
                for clip in self._clips.values()
                if clip.ticket == ticket
            ]
            if not self.knows(name):
                services = [clip for clip in found if self._clips[clip.id].why == SERVICE]
                if first := min(services, key=self._moment().start_of, default=None):
                    found[found.index(first)] = msgspec.structs.replace(first, name=name)
            self._clips.update({clip.id: clip for clip in found})
            for clip in found:
                self._save(clip)
            return found

    def knows(self, name: str) -> bool:
        """Whether a clip that lies here goes by this name at the center."""
        with self._lock:
            return any(name in (clip.id, clip.name) for clip in self._clips.values())

    def rename(self, id_: str, name: str) -> None:
        """Have the center know a clip by another name, because it has another recording by this one.

        This and `sent` hold in memory even where the sidecar cannot be written: a full disk is emptied by sending.
        """
        with self._lock:
            if (clip := self._clips.get(id_)) is not None:
                self._clips[id_] = msgspec.structs.replace(clip, name=name)
                self._save(self._clips[id_])

    def sent(self, id_: str) -> None:
        """Note that the center has the version of a clip that may be shown."""
        with self._lock:
            if (clip := self._clips.get(id_)) is not None:
                self._clips[id_] = msgspec.structs.replace(clip, sent=True)
                self._save(self._clips[id_])

    def start_of(self, clip: Clip) -> datetime:
        """Return when a clip began, by what is known of the wall clock now."""
        return self._moment().start_of(clip)

    def delete(self, id_: str) -> None:
        """Delete a clip, its sidecar last: what a power cut leaves is deleted after it."""
        with self._lock:
            for file in (self._path / f".{id_}.json.new", *self._files(id_)):
                file.unlink(missing_ok=True)
            self._clips.pop(id_, None)
            self._unreadable.discard(id_)

    def sweep(self) -> bool:
        """Delete what must go; return whether it is tight even so. Raise OSError where some of it cannot be deleted."""
        with self._lock:
            for id_ in [id_ for id_ in self._clips if not self._sidecar(id_).exists()]:
                del self._clips[id_]  # somebody deleted it by hand
            clips, fault = self._sized(), None
            for clip in to_delete(clips, self._moment(), quota=self._quota, missing=self._missing()):
                _log.debug("%s goes: %s", clip.id, clip.why)
                try:
                    self.delete(clip.id)
                except OSError as error:
                    fault = fault or error  # the next one may go
            if fault is not None:
                raise fault
            return is_tight(self._sized(), quota=self._quota, missing=self._missing())

    def is_full(self) -> bool:
        """Whether not even sweeping would make room for a clip."""
        with self._lock:
            return sum(clip.size for clip in self._sized() if clip.held or clip.recording) >= self._quota

    def complete(self, id_: str, moves: Callable[[], None] = lambda: None) -> Clip | None:
        """Say what is there of a clip that is not recorded to its end; delete one of which nothing is."""
        with self._lock:
            half = self._clips.get(id_)
            return None if half is None else self._completed(half, moves)

    def _is_there(self, clip: Clip) -> bool:
        """Whether its files are: of a held one the sealed version alone is worth keeping."""
        return self.video(clip.id).exists() or (clip.held and self.sealed(clip.id).exists())

    def _moment(self) -> Moment:
        clock = self._clock
        now_ms = clock.monotonic_ms()
        return Moment(clock.boot_id, now_ms, clock.now(), now_ms - self._began_ms, clock.synchronised())

    def _files(self, id_: str) -> tuple[Path, Path, Path]:
        return self.video(id_), self.sealed(id_), self._sidecar(id_)

    def _sidecar(self, id_: str) -> Path:
        return self._path / f"{id_}.json"

    def _save(self, clip: Clip) -> None:
        replace_file(self._sidecar(clip.id), msgspec.json.format(msgspec.json.encode(clip), indent=1))
        self._clips[clip.id] = clip

    def _sized(self) -> Sequence[Clip]:
        """Return all clips; what is being recorded has the size that it has now. What cannot be read may go."""
        return [
            msgspec.structs.replace(
                clip,
                bytes=_size(self.video(clip.id)),
                sealed_bytes=_size(self.sealed(clip.id)),
                recording=clip.id not in self._unreadable,
            )
            if clip.recording
            else clip
            for clip in self._clips.values()
        ]

    def _missing(self) -> int:
        """Return how many bytes of the disk's spare room are taken."""
        disk = os.statvfs(self._path)
        return max(self._spare - disk.f_bavail * disk.f_frsize, 0)

    def _completed(self, half: Clip, moves: Callable[[], None]) -> Clip | None:
        """Say what was recorded of a clip before the power was cut; delete one of which nothing was."""
        try:
            whole = self._measured(half, moves)
            if whole is None:
                self.delete(half.id)
        except OSError as error:
            self._unreadable.add(half.id)
            _log.warning(
                "the clip %s was not recorded to its end and cannot be read, so it is not sent; it is tried again at "
                "the next start: %s",
                half.id,
                error,
            )
            return None
        if whole is None:
            _log.warning("the clip %s was not recorded to its end: nothing of it is there", half.id)
            return None
        try:
            self._save(whole)
        except OSError as error:
            self._clips[half.id] = whole  # so it can be deleted, which may be what the disk needs
            _log.warning("the clip %s: its sidecar cannot be written: %s", half.id, error)
        _log.warning("the clip %s was not recorded to its end: %.1f s of it are kept", half.id, whole.seconds)
        return whole

    def _measured(self, half: Clip, moves: Callable[[], None]) -> Clip | None:
        self._unreadable.discard(half.id)
        size, digest = _mended(self.video(half.id), mp4.whole_length, moves)
        sealed_size, sealed_digest = _mended(self.sealed(half.id), sealing.whole_length, moves)
        if not size:
            return None
        try:
            with self.video(half.id).open("rb") as video:
                seconds, frames = mp4.measure(video)
        except ValueError as error:  # a person may make more of it; its bytes go where those of others go
            _log.warning("the clip %s does not play: %s", half.id, error)
            seconds, frames = 0.0, 0
        return msgspec.structs.replace(
            half,
            seconds=seconds,
            frames=frames,
            bytes=size,
            sha256=digest,
            sealed_bytes=sealed_size,
            sealed_sha256=sealed_digest,
            recording=False,
            cut=True,
        )


def _read(file: Path) -> Clip | None:
    """Return what a sidecar says, None where it is none of ours or cannot be read: then a person has to look."""
    try:
        clip = msgspec.json.decode(file.read_bytes(), type=Clip)
    except (msgspec.DecodeError, OSError) as error:
        _log.warning("%s is left alone, and its clip with it: %s", file, error)
        return None
    if clip.id != file.stem or not _ID.fullmatch(clip.id):
        _log.warning("%s is left alone, and its clip with it: it says that it is %r", file, clip.id)
        return None
    return clip


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _mended(path: Path, whole_length: Callable[[BinaryIO], int], moves: Callable[[], None]) -> tuple[int, str]:
    """Cut off what a power cut left behind the last whole piece; return the size and the SHA-256 of the rest."""
    if not (there := _size(path)):
        return 0, ""
    with path.open("rb") as file:
        whole = whole_length(file)
    if whole < there:
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            moves()
    return whole, digest.hexdigest()


@contextmanager
def _said_of(file: Path) -> Iterator[None]:
    """Let what the card does not do to one file be said, and cost no other."""
    try:
        yield
    except OSError as error:
        _log.warning("%s is left as it is: %s", file, error)
