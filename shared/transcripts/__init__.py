"""Transcripts: their segments, the stitching of a long file's pieces, and the text formats. Knows no Redis."""
