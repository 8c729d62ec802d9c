"""The Redis side of a gateway: the jobs, the workers, the load, and the sweeps that keep them right."""
