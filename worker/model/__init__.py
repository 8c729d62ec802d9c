"""The model process: it gets audio through a pipe and sends transcripts back. It knows neither Redis nor job records."""
