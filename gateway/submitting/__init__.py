"""From the bytes of a request to a job in the queue: bodies, fields, the look at the audio, the submit itself."""
