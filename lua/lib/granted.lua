-- What the node of a waiter has not taken note of yet, in the partition's hash by waiter: a grant, and when it ends
-- unless it is confirmed, token, session, fingerprint of the request, and lock. With the token 0 nothing is granted: a
-- waiter of several locks was told that it is its turn for this one. Token 1 stands for the end of a wait, as
-- lock.cancel brings it about, and then why is in the place of the fingerprint.
local function parse_grant(grant)
  return string.match(grant, "^(%d+) (%d+) (%x+) (%S*) (.*)$")
end
