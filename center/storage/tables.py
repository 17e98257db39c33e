"""The tables, as they are after the last migration. Instants (`…_at`, `time`) are UTC milliseconds since 1970.

`queue_event` and `device_event` are the truth; `ticket` and what a pad rated are made of them, in the same transaction,
for those who ask. A rating from a tablet stands in `rating` alone; `device` keeps each device's last states. `command`
keeps first answers, `stream` how far each outbox has been stored. `alert` and `device_quarter` are of the fleet;
`incident` (a projection of what cameras said, beside its review), `clip` and `upload` of the cameras; `review`, `hold`
and `look` say who has judged, held and looked at what, and are only ever added to.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
Seq = BigInteger().with_variant(Integer, "sqlite")

device_event = Table(
    "device_event",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("type", String(128), nullable=False),
    Column("source", String(128), nullable=False),
    Column("stream", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),  # as the device's clock had it
    Column("clock_synced", Boolean, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),  # `time`, or when it arrived if that clock is not believed
    Column("received_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "type", "occurred_at"),
    Index(None, "source", "stream", "sequence"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of topic and body: resent ones stand once
    Column("received_at", BigInteger, nullable=False),
    Column("topic", String(256), nullable=False),
    Column("event_id", String(64)),  # where it could be read at all
    Column("reason", String(300), nullable=False),
    Column("size", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the first 8 KB
)

queue_event = Table(
    "queue_event",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("key", String(160)),  # the command's
    Index(None, "day", "seq"),
)

command = Table(
    "command",
    metadata,
    Column("key", String(160), primary_key=True),
    Column("ask", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Index(None, "at"),
)

ticket = Table(
    "ticket",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("day", String(10), nullable=False),
    Column("number", String(5), nullable=False),
    Column("service", String(32), nullable=False),
    Column("priority", String(8), nullable=False),
    Column("state", String(9), nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("counter", String(32)),
    Column("called_at", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("recalls", Integer, nullable=False),
    Column("outcome", String(16)),
    Column("behind", Integer, nullable=False),
    Index(None, "day", "number", unique=True),
)

rating = Table(
    "rating",
    metadata,
    Column("id", String(160), primary_key=True),  # the event's, or one of its own for a tablet's press
    Column("ticket", String(64), unique=True),  # one a ticket; several without a ticket
    Column("counter", String(32), nullable=False),
    Column("source", String(128), nullable=False),
    Column("scale", String(16), nullable=False),
    Column("level", Integer, nullable=False),
    Column("given_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Index(None, "counter", "given_at"),
    Index(None, "given_at"),
)

device = Table(
    "device",
    metadata,
    Column("station", String(32), primary_key=True),
    Column("device", String(32), primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("status", Text),
    Column("health", Text),
    Column("reported", Text),
)

stream = Table(
    "stream",
    metadata,
    Column("source", String(128), primary_key=True),
    Column("stream", String(64), primary_key=True),
    Column("upto", BigInteger, nullable=False),  # every event from 1 to here is stored or in quarantine
    Column("highest", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=False),  # without a gap, from 1
    Column("at", BigInteger, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("object", String(200), nullable=False),
    Column("detail", String(500), nullable=False),
    Column("previous", String(64), nullable=False),  # the hash of the entry before
    Column("hash", String(64), nullable=False),
)

alert = Table(
    "alert",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("station", String(32), nullable=False),
    Column("device", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", String(64), nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # null while it is so
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(64)),
    Column("told", Integer, nullable=False),  # to the webhook: 0 nothing, 1 that it began, 2 all there is to tell
    Index(None, "ended_at"),
    Index(None, "begun_at"),
)

device_quarter = Table(
    "device_quarter",
    metadata,
    Column("station", String(32), primary_key=True),
    Column("device", String(32), primary_key=True),
    Column("at", BigInteger, primary_key=True),  # when this quarter of an hour begins
    Column("level", String(1), nullable=False),  # the worst that was in it
)

swept = Table(
    "swept",
    metadata,
    Column("what", String(32), primary_key=True),
    Column("upto", BigInteger, nullable=False),  # what is older has been thinned
)

account = Table(
    "account",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("full_name", String(60), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password", String(200), nullable=False),  # argon2id, with salt and cost
    Column("must_change", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("subject", String(64)),  # SHA-256 of issuer and subject at the OIDC provider; NULL: ours
    Index(None, "subject", unique=True),
)

session = Table(
    "session",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the token
    Column("account", String(32), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", String(32), primary_key=True),  # ours, of station, device and name: center/cameras/names.py
    Column("station", String(32), nullable=False),
    Column("device", String(32), nullable=False),
    Column("name", String(64), nullable=False),  # what the camera calls it
    Column("kind", String(64), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("ticket", String(64)),
    Column("began_at", BigInteger, nullable=False),  # when the first event was that spoke of it
    Column("heard_at", BigInteger, nullable=False),  # when the last was
    Column("ended_at", BigInteger),  # null while it goes on
    Column("lasted_ms", BigInteger),  # from its start to its end; null where nobody knows
    Column("sequence", BigInteger, nullable=False),  # of the newest event
    Column("thumbnail", LargeBinary),  # JPEG; null also when it was kept long enough
    Column("clip", String(32)),  # a `clip.id`, which may come later
    Column("reviewed_at", BigInteger),  # from here on the record itself, not of any event: the newest `review`
    Column("reviewed_by", String(64)),
    Column("note", String(1000)),
    Index(None, "began_at"),
    Index(None, "station", "began_at"),
    Index(None, "kind", "began_at"),
    Index("ix_incident_unseen", "began_at", sqlite_where=text("reviewed_at IS NULL")),
    Index("ix_incident_unseen_station", "station", "began_at", sqlite_where=text("reviewed_at IS NULL")),
    Index("ix_incident_unseen_kind", "kind", "began_at", sqlite_where=text("reviewed_at IS NULL")),
    Index(None, "clip"),
    Index("ix_incident_pictured", "heard_at", sqlite_where=text("thumbnail IS NOT NULL")),
)

clip = Table(
    "clip",
    metadata,
    Column("id", String(32), primary_key=True),  # ours, of station, device and name
    Column("station", String(32), nullable=False),
    Column("device", String(32), nullable=False),
    Column("name", String(64), nullable=False),  # what the camera calls it
    Column("start", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("why", String(64)),
    Column("ticket", String(64)),
    Column("bytes", BigInteger),  # of the file that is shown
    Column("sha256", String(64)),
    Column("arrived_at", BigInteger),  # null: not yet here
    Column("sealed_bytes", BigInteger),  # of the encrypted clear version
    Column("sealed_sha256", String(64)),
    Column("sealed_at", BigInteger),
    Column("made_at", BigInteger, nullable=False),  # when the camera first asked for leave to send it
    Column("held", Boolean, nullable=False),  # never wiped
    Column("wiping_at", BigInteger),  # its files are about to go: nobody holds it or sees it any more
    Column("wiped_at", BigInteger),
    Column("thumbnail", LargeBinary),  # JPEG, of what is shown; it goes with the recording
    Column("reviewed_at", BigInteger),  # of a recording without an incident: the newest `review`
    Column("reviewed_by", String(64)),
    Column("note", String(1000)),
    Index(None, "why", "start"),
    Index("ix_clip_unseen", "why", "start", sqlite_where=text("reviewed_at IS NULL")),
    Index(None, "station", "start"),
    Index(None, "sha256"),
    Index(None, "sealed_sha256"),
    Index(None, "made_at"),
    Index(
        "ix_clip_unwiped",
        "station",
        "device",
        sqlite_where=text("wiped_at IS NULL"),
        postgresql_where=text("wiped_at IS NULL"),
    ),
)

upload = Table(
    "upload",
    metadata,
    Column("id", String(32), primary_key=True),  # of clip, file and hash; also the name of its file
    Column("clip", String(32), nullable=False),
    Column("file", String(8), nullable=False),  # shown or sealed
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("token", String(64), nullable=False),  # SHA-256 of it
    Column("ends_at", BigInteger, nullable=False),  # the token's end
    Index(None, "clip"),
)

review = Table(
    "review",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("item", String(33), nullable=False),  # i and an incident's id, or c and a clip's
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("note", String(1000), nullable=False),
    Index(None, "item"),
    Index(None, "at"),
)

hold = Table(
    "hold",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("clip", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("held", Boolean, nullable=False),  # held from now on, or released
    Column("reason", String(300), nullable=False),
    Index(None, "clip"),
    Index(None, "at"),
)

look = Table(
    "look",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("clip", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("file", String(8), nullable=False),  # shown or sealed
    Column("reason", String(300), nullable=False),  # of a look at the sealed one
    Index(None, "clip", "at"),
    Index(None, "at"),
)

camera_setting = Table(
    "camera_setting",
    metadata,
    Column("station", String(32), primary_key=True),
    Column("revision", Integer, nullable=False),  # grows with each change
    Column("body", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", String(64), nullable=False),
)

camera_wish = Table(
    "camera_wish",
    metadata,
    Column("id", String(64), primary_key=True),  # the keep's, on the wire
    Column("station", String(32), nullable=False),
    Column("why", String(16), nullable=False),
    Column("ticket", String(64)),
    Column("before_s", Integer, nullable=False),
    Column("after_s", Integer, nullable=False),
    Column("note", String(200), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("week", String(8)),  # of a sample: its ISO week,
    Column("officer", String(100)),  # whose service it was, or the station where nobody was named,
    Column("lot", String(64)),  # and what its ticket drew
    Column("done_at", BigInteger),  # the camera has carried it out
    Column("gone_at", BigInteger),  # given up, or out of the sample again
    Index("ix_camera_wish_open", "asked_at", sqlite_where=text("done_at IS NULL AND gone_at IS NULL")),
    Index(None, "station", "asked_at"),
    Index(None, "ticket"),
    Index(None, "week", "officer"),
)

sample_week = Table(
    "sample_week",
    metadata,
    Column("week", String(8), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("most", Integer, nullable=False),  # services of each officer
    Column("made_at", BigInteger, nullable=False),
)
