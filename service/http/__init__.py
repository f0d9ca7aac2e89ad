"""The HTTP tier: decode, validate, call the domain, encode. No rule of a lock, queue or cache lives here."""
