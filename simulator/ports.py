"""Ports of the loopback, for programs that are started here, ended, and started again on the same one."""

import itertools
import os
import socket

HOST = "127.0.0.1"

_LISTENED = range(20_000, 32_768)
"""Below those of outgoing connections: one of them could take the port of a program that is just down."""

# Each process goes through them from a place of its own: between being chosen and being listened on, which takes a
# slow broker a second, no other one chooses the same.
_turn = itertools.count(os.getpid() * 1543)


def port_is_free(port: int) -> bool:
    """Return whether a program could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a listener
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on now, and that no outgoing connection will have."""
    while not port_is_free(port := _LISTENED[next(_turn) % len(_LISTENED)]):
        pass
    return port
