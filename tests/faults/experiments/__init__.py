"""The experiments behind docs/reliability.md: real processes, ended by real signals. `make faults` runs them all."""
