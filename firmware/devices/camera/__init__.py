"""The supervision camera: clips of what people must judge, and of nothing else."""
