"""Numbered schema changes, applied when the center starts. A published one is never edited."""
