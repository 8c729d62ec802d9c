"""The supervisor: the loop of a worker, and what it holds between two turns of it."""
