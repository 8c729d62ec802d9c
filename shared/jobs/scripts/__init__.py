"""The Lua scripts, one per atomic step of a job's life. Each file's head describes its arguments and its answer."""
