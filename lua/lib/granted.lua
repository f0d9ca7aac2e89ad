-- A grant that the node of the waiter has not confirmed yet, in the partition's hash by waiter: when it ends unless it
-- is confirmed, token, session, fingerprint of the request, and lock. With the token 0 nothing is granted: a waiter of
-- several locks was told that it is its turn for this one.
local function parse_grant(grant)
  return string.match(grant, "^(%d+) (%d+) (%x+) (%S*) (.*)$")
end
