-- One that waits: its place is its score in the sorted set of waiters, and the hash beside that has
--   <session> <mode>[<length>] <ttl_ms> <fingerprint> <owner>[ <detail>]
-- session: of the node that it waits in, for as long as which it waits; mode: exclusive, shared or semaphore;
-- fingerprint: of its request; detail: what it asks beyond that (lib/detail), and then length is that of the owner in
-- bytes. Layout 1 has no details.
-- One that waits for several locks of the partition has the same id in all their lines. Instead of a lease it has a 0,
-- or a 1 once it knows that it is its turn here: a lease is 50 ms or longer. One whose mode is upgrade holds the lock
-- shared, stands before all others, and has a 0, too.
-- Two fields of that hash are no waiters. The one without a name is the time at which, at the latest, every node with a
-- waiter looks at the lock again: it was told so when it looked last. Nodes hear when the lock is to be free sooner
-- than that. The one named "limit" is there while requests for a semaphore wait: their limit and their number.
local function parse_waiter(info)
  local session, mode, length, ttl_ms, fingerprint, owner = string.match(info, "^(%x+) (%l+)(%d*) (%d+) (%S*) (.*)$")
  if length == "" then
    return session, mode, ttl_ms, fingerprint, owner, ""
  end
  length = tonumber(length)
  return session, mode, ttl_ms, fingerprint, string.sub(owner, 1, length), string.sub(owner, length + 2)
end
