-- Give a worker the next job: out of its lane and under a lease in one step, so that no killed worker takes one along.
--
-- a.lanes         RQ queue names, first served first
-- a.worker        the claiming worker's name
-- a.execution     a fresh id for RQ's execution record; the same again when the last claim got no answer
-- a.lease_ms      how long the lease lasts unless renewed
-- a.audio_ttl     seconds that the audio must outlast
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns the job hash as {field, value, ...}, or an empty list when nothing waits.

local function start(job)
  check_move(job, 'running')
  local token = redis.call('INCR', PREFIX .. ':token')
  hset(key('job', job.id), {
    state = 'running', token = token, worker = a.worker, execution = a.execution,
    attempt = tonumber(job.attempt) + 1, started_at_ms = integer(NOW), progress_seconds = 0,
  })
  watch_deadline(job, nil, 'CH')
  redis.call('ZADD', PREFIX .. ':in_flight', NOW + a.lease_ms, job.id)
  redis.call('EXPIRE', key('audio', job.id), a.audio_ttl)
  redis.call('DEL', key('partial', job.id))

  local member, seconds = job.id .. ':' .. a.execution, NOW / 1000
  hset(RQ .. ':job:' .. job.id, { status = 'started', started_at = NOW_ISO, last_heartbeat = NOW_ISO, worker_name = a.worker })
  hset(RQ .. ':execution:' .. member, {
    id = a.execution, job_id = job.id, worker_name = a.worker, created_at = seconds, last_heartbeat = seconds,
  })
  redis.call('EXPIRE', RQ .. ':execution:' .. member, a.audio_ttl)
  redis.call('ZADD', RQ .. ':executions:' .. job.id, seconds + a.audio_ttl, a.execution)
  redis.call('EXPIRE', RQ .. ':executions:' .. job.id, a.audio_ttl)
  -- Far in the future: leases lapse in our own set, and RQ's clean-up must not fail a job that we will recover.
  redis.call('ZADD', RQ .. ':wip:' .. job.lane, seconds + a.audio_ttl, member)
  redis.call('SADD', RQ .. ':worker:' .. a.worker .. ':executions', member)
  redis.call('EXPIRE', RQ .. ':worker:' .. a.worker .. ':executions', a.audio_ttl)
  return redis.call('HGETALL', key('job', job.id))
end

-- The answer to an earlier claim was lost on its way: give it again.
for _, member in ipairs(redis.call('SMEMBERS', RQ .. ':worker:' .. a.worker .. ':executions')) do
  local id, execution = string.match(member, '^(.*):([^:]*)$')
  if execution == a.execution then
    return redis.call('HGETALL', key('job', id))
  end
end

for _, lane in ipairs(a.lanes) do
  -- Bounded: entries that no longer stand for a waiting job (removed with RQ's own tools) are passed over.
  for _ = 1, 100 do
    local id = redis.call('LPOP', RQ .. ':queue:' .. lane)
    if not id then
      break
    end
    local job = load_job(id)
    local dead = job and (job.state == 'failed' or job.state == 'expired')
    if dead and redis.call('EXISTS', key('audio', id)) == 1 then
      -- Nothing of ours puts a dead job into a lane: an operator requeued it with RQ's tools.
      revive(job)
      return start(job)
    end
    if job and job.state == 'queued' then
      weigh(job, -1)
      local deadline = redis.call('ZSCORE', PREFIX .. ':deadlines', id)
      if deadline and tonumber(deadline) <= NOW then
        promote_follower(job)
        settle(job, 'expired', {})
      else
        return start(job)
      end
    end
  end
end
return {}
