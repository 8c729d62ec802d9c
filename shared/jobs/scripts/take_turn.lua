-- Whether it is the caller's turn to do what one of all callers does once within so many milliseconds.
--
-- a.what       what it is; also the name of the lock
-- a.every_ms   how long nobody else has a turn
--
-- Returns 1 or 0.
-- uses: prelude
even_when_full()
local lock = PREFIX .. ':' .. a.what
-- Redis keeps the time at which a key ends. A lock that lasts longer than it was given is from before the clock was set back.
if redis.call('PTTL', lock) > a.every_ms then
  redis.call('DEL', lock)
end
return redis.call('SET', lock, 1, 'NX', 'PX', a.every_ms) and 1 or 0
