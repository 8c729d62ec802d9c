"""The Redis server of a fleet: its address, connections to it, whether it is suitable, and what its errors mean."""
