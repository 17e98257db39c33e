"""The page of the demo: the counters as pictures that can be pressed."""
