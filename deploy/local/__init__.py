"""The local stack: what `make demo` and `make up` run."""
