"""The proof that no job is lost: clients and faults from a seed, a history of what they did, and a checker that judges it."""
