"""The Redis side of a worker: it claims jobs, keeps their leases, writes results, and announces the worker."""
