"""The check-up of a station: pins, ports, broker, outboxes. It looks, and touches nothing."""

from firmware.doctor.station import checks

__all__ = ["checks"]
