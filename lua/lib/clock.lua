-- Redis TIME is the only clock that decides: all callers share it, whatever their own clocks say.
local clock = redis.call("TIME")
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
