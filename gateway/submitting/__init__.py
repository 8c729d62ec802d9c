"""Turns the bytes of a request into a job in the queue: reads the body, checks the fields, probes the audio, submits the job."""
