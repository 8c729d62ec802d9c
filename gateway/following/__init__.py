"""A job as its caller follows it: waiting for its end, its state meanwhile, and its result."""
