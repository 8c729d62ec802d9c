"""The supervisor: the main loop of a worker, and the state that it keeps: jobs in flight, the model process, results to write."""
