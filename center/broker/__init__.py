"""The broker: starts one, or none. It holds nothing that matters, so any will do and it may be killed."""

from center.broker.process import BrokerProcess, Starter, make_broker

__all__ = ["BrokerProcess", "Starter", "make_broker"]
