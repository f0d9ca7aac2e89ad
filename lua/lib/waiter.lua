-- One that waits: its place is its score in the sorted set of waiters, and the hash beside that has the session of the
-- node that it waits in, mode, lease, fingerprint of its request and owner. It waits for as long as that session lives.
-- The field without a name in that hash is the time at which, at the latest, every node with a waiter looks at the
-- lock again: it was told so when it looked last. Nodes hear when the lock is to be free sooner than that.
local function parse_waiter(info)
  return string.match(info, "^(%x+) (%l+) (%d+) (%S*) (.*)$")
end
