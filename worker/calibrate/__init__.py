"""`whisper-fleet calibrate`: what adaptive encoder windows gain and cost on the operator's own audio."""
