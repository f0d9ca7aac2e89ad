-- For a repeat that is answered with the first outcome: from now on the grant is that of the repeat's caller, and the
-- caller before, who may be gone, gives nothing back (see lock.give_back).
local function told_again()
  redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], first_outcome, 1 }), "KEEPTTL")
end
