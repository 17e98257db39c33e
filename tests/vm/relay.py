"""A bad network between the pad and its broker, which notes what came from the center. Runs inside the virtual machine.

    relay.py PORT HOST PORT

Until its standard input ends, what the center says waits most of the time, so that the outbox fills. It is noted before
it is passed on: what the pad deletes on the center's word stands behind that word in the block log.
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
    source: socket.socket, target: socket.socket, witness: Witness, connection: int, good: threading.Event
) -> None:
    """Pass bytes on when the network is good, each noted before."""
    try:
        while data := source.recv(ROOM - 512):
            while not good.is_set() and time.monotonic() % CYCLE_S > GOOD_S:
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


def become_good(good: threading.Event) -> None:
    """Delay nothing any more once nobody holds the other end of standard input."""
    sys.stdin.read()
    good.set()


def main() -> None:
    """Take connections until killed."""
    port, host, far_port = sys.argv[1:]
    witness, good = Witness(), threading.Event()
    threading.Thread(target=become_good, args=(good,), daemon=True).start()
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
        back = (far, near, witness, connection, good)
        threading.Thread(target=note_and_forward, args=back, daemon=True).start()


if __name__ == "__main__":
    main()
