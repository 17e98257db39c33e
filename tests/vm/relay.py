"""A bad network between the pad and its broker, which notes what came from the center. Runs inside the virtual machine.

    relay.py SECONDS PORT HOST PORT

For so long what the center says waits most of the time, so that the outbox fills. It is noted before it is passed on:
what the pad deletes on the center's word stands behind that word in the block log.
"""

import itertools
import socket
import sys
import threading
import time

from witness import ROOM, Witness

CYCLE_S, GOOD_S = 5.0, 1.5


def forward(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    end(source, target)


def note_and_forward(
    source: socket.socket, target: socket.socket, witness: Witness, connection: int, bad_until_s: float
) -> None:
    """Pass bytes on when the network is good, each noted before."""
    try:
        while data := source.recv(ROOM - 512):
            while time.monotonic() < bad_until_s and time.monotonic() % CYCLE_S > GOOD_S:
                time.sleep(0.02)
            witness.note(data, connection=connection)
            target.sendall(data)
    except OSError:
        pass
    end(source, target)


def end(*ends: socket.socket) -> None:
    """End a connection both ways."""
    for each in ends:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def main() -> None:
    """Take connections until killed."""
    seconds, port, host, far_port = sys.argv[1:]
    bad_until_s = time.monotonic() + float(seconds)
    witness = Witness()
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("ready", flush=True)
    for connection in itertools.count():
        near, _ = listener.accept()
        try:
            far = socket.create_connection((host, int(far_port)), timeout=10)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        threading.Thread(target=forward, args=(near, far), daemon=True).start()
        back = (far, near, witness, connection, bad_until_s)
        threading.Thread(target=note_and_forward, args=back, daemon=True).start()


if __name__ == "__main__":
    main()
