"""Transcripts: their segments, how the pieces of a long file become one, and the text formats. Knows no Redis."""
