"""The experiments behind docs/reliability.md: real processes, killed for real. `make faults` runs them all."""
