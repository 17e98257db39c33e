"""Counter devices and queue for public service centers."""

__version__ = "0.1.0"
