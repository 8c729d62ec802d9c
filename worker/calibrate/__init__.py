"""`whisper-fleet calibrate`: what an encoder window gains and costs on the owner's own audio."""
