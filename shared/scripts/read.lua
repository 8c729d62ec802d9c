-- A job as its owner sees it, all of one moment.
--
-- a.id, a.tenant   the job and who asks
-- a.lanes          the kinds of lanes, the most urgent first
--
-- Returns 'unknown' (or somebody else's), 'gone', or {its hash as {field, value, ...}, its transcript (JSON; nil while it
-- has none), its segments so far, {jobs, milliseconds of audio} that come before it (nil unless it waits), and the pieces of
-- a long file that are done, as {'from-to' (ms), transcript, ...}}.

-- How many jobs, and how much audio (ms), are started before one that waits; nothing for one that stands in no lane.
-- A follower stands where its leader does; whoever is not the most urgent waits for all who are more so.
local function ahead_of(job)
  local id, lane = job.leader or job.id, job.lane
  if job.leader then
    lane = redis.call('HGET', key('job', job.leader), 'lane') or lane
  end
  local order = key('order', lane)
  local jobs = redis.call('ZRANK', order, id)
  if not jobs then
    return false
  end
  local first = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]
  local audio_ms = redis.call('ZSCORE', order, id) - first
  for _, urgent in ipairs(a.lanes) do
    local before = PREFIX .. '.' .. job.model .. '.' .. urgent
    if before == lane then
      break
    end
    local next_urgent = redis.call('ZRANGE', key('order', before), 0, 0, 'WITHSCORES')[2]
    if next_urgent then
      jobs = jobs + redis.call('ZCARD', key('order', before))
      audio_ms = audio_ms + redis.call('HGET', PREFIX .. ':load', 'through:' .. before) - next_urgent
    end
  end
  -- Scores do not know what has left the middle of the line; what waits in all does.
  local others = tonumber(redis.call('HGET', PREFIX .. ':load', 'audio_ms') or 0) - tonumber(job.audio_seconds) * 1000
  return { jobs, integer(math.max(0, math.min(audio_ms, others))) }
end

local job, refusal = owned()
if not job then
  return refusal
end
local transcript = redis.call('GET', key('transcript', job.id))
if job.state == 'completed' and not transcript then
  return 'gone'
end
return {
  redis.call('HGETALL', key('job', job.id)),
  transcript,
  redis.call('LRANGE', key('partial', job.id), 0, -1),
  job.state == 'queued' and ahead_of(job),
  job.pieces and job.state == 'running' and redis.call('HGETALL', key('pieces', job.id)) or {},
}
