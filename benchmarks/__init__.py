"""Speed and memory beside the peer or the physical floor, in one run: `make bench`."""
