"""The fixtures that other tests stand on."""

import socket

import pytest

from tests.support.brokers import Broker


def test_a_broker_answers_again_on_the_same_port_after_a_kill(any_broker: Broker) -> None:
    """A broker that was killed listens on the same port once it is started again."""
    any_broker.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((any_broker.host, any_broker.port), timeout=1)
    any_broker.start()
    socket.create_connection((any_broker.host, any_broker.port), timeout=1).close()
