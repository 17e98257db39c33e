"""The center's pages, API and live stream."""
