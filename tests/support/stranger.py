"""A client that connects by somebody else's name."""

import socket
import struct
import time

from tests.support.brokers import Broker


def take_over(broker: Broker, client_id: str) -> None:
    """Open a session by this name and leave it without a word, as a wrongly configured program that is killed does."""
    fields = (b"MQTT", client_id.encode())
    protocol, name = (struct.pack(">H", len(field)) + field for field in fields)
    clean_session, keepalive_s = b"\x04\x02", b"\x00\x3c"
    packet = protocol + clean_session + keepalive_s + name
    with socket.create_connection((broker.host, broker.port), timeout=30) as sock:
        sock.sendall(bytes([0x10, len(packet)]) + packet)
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        time.sleep(0.2)
