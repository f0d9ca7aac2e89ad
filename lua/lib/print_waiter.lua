-- What lib/waiter reads.
local function print_waiter(session, mode, ttl_ms, fingerprint, owner, detail)
  if detail == "" then
    return table.concat({ session, mode, ttl_ms, fingerprint, owner }, " ")
  end
  return table.concat({ session, mode .. #owner, ttl_ms, fingerprint, owner, detail }, " ")
end
