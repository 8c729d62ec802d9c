-- Publish the progress of a worker's jobs.
--
-- a.audio_ttl    seconds that partial segments are kept at most
-- a.jobs         list of {id, token, progress_seconds, published (number of segments so far), segments (JSON strings of the new
--                ones)}
--
-- Returns one verdict per job: 'ok', or 'stale' when the job is no longer this worker's (cancelled, recovered, erased).
-- uses: prelude
even_when_full()

-- How many values `unpack` is given at a time: it cannot take more than Lua's stack holds.
local SLICE = 1000

-- If a worker sends its segments again after a lost answer, some of them are in the list already. Add only the others.
local function publish(mine)
  local partial, segments = key('partial', mine.id), mine.segments
  for first = math.max(0, redis.call('LLEN', partial) - mine.published) + 1, #segments, SLICE do
    redis.call('RPUSH', partial, unpack(segments, first, math.min(first + SLICE - 1, #segments)))
  end
  redis.call('EXPIRE', partial, a.audio_ttl)
end

local verdicts = {}
for i, mine in ipairs(a.jobs) do
  local known = redis.call('HMGET', key('job', mine.id), 'state', 'token')
  if known[1] == 'running' and known[2] == integer(mine.token) then
    hset(key('job', mine.id), { progress_seconds = mine.progress_seconds })
    publish(mine)
    verdicts[i] = 'ok'
  else
    verdicts[i] = 'stale'
  end
end
return verdicts
