"""The model process: audio in by a pipe, transcripts out. It knows neither Redis nor jobs."""
