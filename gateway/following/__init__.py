"""How a caller follows a job: long-polls for its end, its state until then, and its result."""
