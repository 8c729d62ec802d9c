"""The proof that no job is lost: clients and faults from a seed, a history of all they did, and a checker that judges it."""
