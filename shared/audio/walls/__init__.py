"""The walls around native parsers: FFmpeg reads a file in a process of its own, under limits. A file breaks no more than that.

- `readers`: what gateways and model processes call
- `process`: the process beside them, which keeps readers ready
- `reader`: one of those, for one file at a time
- `messages`, `limits`: what they say to each other, and what a reader may use
"""
