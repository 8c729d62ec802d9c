"""The Redis side of a gateway: jobs, workers, load, and the sweeps that repair jobs and lanes."""
