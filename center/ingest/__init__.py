"""Ingest: what devices say goes into the store, then they are told so; what they should be is published."""
