"""The fleet: how each device is over time, what needs somebody, and who is told."""
