-- Who consumes need not wait for the owner of the partition. Needs due_at, and keeps it true.
--- @include lib/tend
--- @include lib/ghosts
if due_at and due_at <= now_ms or not due_at and redis.call("EXISTS", inflight, delayed) > 0 then
  local _
  _, due_at = tend()
end
