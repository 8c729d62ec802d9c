"""What gateways and workers must agree on: job record and states, Redis keys and scripts, settings, errors, formats."""
