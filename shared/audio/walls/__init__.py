"""The walls around native parsers: FFmpeg reads a file in a process of its own, under limits, and a file that breaks it breaks nothing.

- `readers`: what gateways and model processes call
- `process`: the process beside them, which keeps readers ready
- `reader`: one of those, for one file
- `messages`, `limits`: what they say to each other, and what a reader may use
"""
