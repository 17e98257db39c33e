"""Rating pad, call pad, display: each a driver that moves signals and decisions that are pure."""
