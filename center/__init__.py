"""What runs at the center: ingest, queue engine, store, pages."""
