"""The worker: a supervisor that claims jobs and keeps leases, and the model process it watches over."""
