"""The schema changes, in order of their numbers."""
