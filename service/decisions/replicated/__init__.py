"""What the log holds: commands, what each does to the state, and the state. Pure: no clock, no socket, no setting."""
