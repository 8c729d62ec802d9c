"""A fleet in plain Python, and plays of everything that can happen to it, against the real scripts.

The model, each class on top of the one before: `records` (a job), `lanes`, `endings`, `callers`, `claims`, `workers`, `clicks`
(operators). `actors` do the same to a real Redis, `reality` reads what is there, and `judge` knows what must hold whatever the
model says. The plays are rules of one state machine: `stage`, `callers_play`, `workers_play`, `long_files_play`,
`operators_play`, and `last_act`, which brings everything to its end.
"""
