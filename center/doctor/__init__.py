"""The check-up of a center: store, pages, broker, keys, copies. It looks, and touches nothing."""

from center.doctor.center import checks

__all__ = ["checks"]
