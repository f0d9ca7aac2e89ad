"""Redis as Simpul uses it: scripts by name, one pipelined connection, an identity check at every connect."""
