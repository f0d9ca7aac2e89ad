"""Load: what the service costs and what it carries, measured on real processes over real sockets."""
