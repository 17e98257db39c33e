"""Simulated hardware and people, for the demo, the tests and the benchmarks."""
