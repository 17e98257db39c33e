"""The center's own program with the demo's page: `python -m simulator.center_process --config F --world SOCKET`."""
