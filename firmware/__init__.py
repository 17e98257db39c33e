"""What runs at a counter: one small daemon for each device."""
