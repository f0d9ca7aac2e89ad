"""What every node does: obeys the log, reports to the leader, and vouches for what it granted."""
