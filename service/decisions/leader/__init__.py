"""What the leader does for as long as it leads: Redis kept as the log says, and what it knows of the nodes."""
