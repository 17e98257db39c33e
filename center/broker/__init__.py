"""The broker: starts one, or none. It holds nothing that matters, so any will do and it may be killed."""

from center.broker.process import BrokerKeys, BrokerProcess, Starter, make_broker

__all__ = ["BrokerKeys", "BrokerProcess", "Starter", "make_broker"]
