"""The walls around native parsers: FFmpeg reads a file in a process of its own, under limits. A file can break only that one.

- `readers`: the interface for gateways and model processes
- `process`: the process beside them, which keeps readers ready
- `reader`: a reader, which handles one file at a time
- `messages`, `limits`: the messages between these processes, and a reader's limits
"""
