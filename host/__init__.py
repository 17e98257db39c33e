"""The machine a program runs on, as devices and center both see it; knows nothing of either."""
