"""`whisper-fleet calibrate`: what encoders and encoder windows gain and cost on the operator's own audio."""
