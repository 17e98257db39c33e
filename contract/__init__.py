"""The wire contract between counters and center: topics, envelope, events, states, requests. Pure data, no I/O."""
