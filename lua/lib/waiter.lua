-- One that waits: its place is its score in the sorted set of waiters, and the hash beside that has the session of the
-- node that it waits in, mode, lease, fingerprint of its request and owner. It waits for as long as that session lives.
-- One that waits for several locks of the partition has the same id in all their lines. Instead of a lease it has a 0,
-- or a 1 once it knows that it is its turn here: a lease is 50 ms or longer.
-- The field without a name in that hash is the time at which, at the latest, every node with a waiter looks at the
-- lock again: it was told so when it looked last. Nodes hear when the lock is to be free sooner than that.
local function parse_waiter(info)
  return string.match(info, "^(%x+) (%l+) (%d+) (%S*) (.*)$")
end
