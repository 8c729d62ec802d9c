-- Keep the leases of a worker's jobs, and publish how far each has come.
--
-- a.lease_ms     from now
-- a.audio_ttl    seconds that partial segments are kept at most
-- a.jobs         list of {id, token, progress_seconds, published (segments so far), segments (JSON strings, new ones only)}
--
-- Returns one verdict per job: 'ok', or 'stale' when the job is no longer this worker's (cancelled, recovered, erased).
even_when_full()
local verdicts = {}
for i, mine in ipairs(a.jobs) do
  local job = load_job(mine.id)
  if job and job.state == 'running' and job.token == integer(mine.token) then
    redis.call('ZADD', PREFIX .. ':in_flight', NOW + a.lease_ms, mine.id)
    hset(key('job', mine.id), { progress_seconds = mine.progress_seconds })
    tell_rq(mine.id, { last_heartbeat = NOW_ISO })
    -- A renewal that is sent again after a lost answer finds its segments there already.
    if #mine.segments > 0 and redis.call('LLEN', key('partial', mine.id)) <= mine.published then
      redis.call('RPUSH', key('partial', mine.id), unpack(mine.segments))
      redis.call('EXPIRE', key('partial', mine.id), a.audio_ttl)
    end
    verdicts[i] = 'ok'
  else
    verdicts[i] = 'stale'
  end
end
return verdicts
