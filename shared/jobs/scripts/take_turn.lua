-- Take the turn for a task that only one process does within `every_ms`.
--
-- a.what       the task; also the name of its lock
-- a.every_ms   how long no other process gets a turn
--
-- Returns 1 if the caller has the turn, else 0.
-- uses: prelude
even_when_full()
local lock = PREFIX .. ':' .. a.what
-- Redis keeps the time at which a key ends. If a lock lasts longer than `every_ms`, it was set before the clock was set back.
if redis.call('PTTL', lock) > a.every_ms then
  redis.call('DEL', lock)
end
return redis.call('SET', lock, 1, 'NX', 'PX', a.every_ms) and 1 or 0
