"""The Redis side of a worker: how it claims jobs, keeps its leases, writes results, and shows to others."""
