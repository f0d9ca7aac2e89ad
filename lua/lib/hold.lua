-- A lock's key holds one string: a letter for the mode (x exclusive, s shared), the token and lease of an exclusive
-- hold, a digit (always 0; older sets marked waiters there and still read it) and the exclusive owner. Its expiry in
-- Redis is the end of the lease (of the last lease, when shared), so a free lock is an absent key and the path of an
-- uncontended lock reads no clock.
-- The shared holds stand beside it: owners by end of lease in a sorted set, their tokens and leases in a hash.
local function parse_hold(hold)
  local letter, token, ttl_ms, owner = string.match(hold, "^(%l)(%d+) (%d+) %d (.*)$")
  return letter == "x", token, ttl_ms, owner
end
