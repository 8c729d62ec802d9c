-- How a job ends, and how it gets a new life.
-- uses: lanes executions pieces access

-- An ended job up to this size is published to all gateways. A gateway that waits for it need not ask; the others drop it.
local MOST_TOLD_BYTES = 16384

-- read.lua's answer for the job, as JSON. Empty if it is large, or if the job can be revived: then the answer may be outdated
-- when a gateway gets it, so the gateway must read the job.
local function told_of(job)
  if MOVES[job.state].queued or redis.call('STRLEN', key('transcript', job.id)) > MOST_TOLD_BYTES then
    return ''
  end
  local told = cjson.encode(view(job))
  return #told <= MOST_TOLD_BYTES and told or ''
end

-- Publish the end of a job: its id, a line break, and `told_of` it. If the job was completed from the cache there is no event: no
-- caller can wait for it, since its submit is its end.
local function tell_of_end(job, origin)
  if origin ~= 'cache' then
    redis.call('PUBLISH', PREFIX .. ':events', job.id .. '\n' .. told_of(job))
  end
end

-- How long RQ's tools show a completed job, in seconds. Most jobs complete, and each takes half a kilobyte there.
local COMPLETED_SHOWN_SECONDS = 3600

-- Put the job into RQ's registry of its end, so that RQ's tools show it there. Only if RQ has a record of it.
-- Needs a.result_ttl and a.gone_ttl (seconds).
local function show_ended(job, state, fields)
  local registry = RQ .. ':' .. REGISTRY[state] .. ':' .. job.lane
  local seconds = state == 'completed' and math.min(a.result_ttl, COMPLETED_SHOWN_SECONDS) or a.result_ttl
  fields.status = REGISTRY[state]
  if tell_rq(job.id, fields) then
    redis.call('EXPIRE', RQ .. ':job:' .. job.id, seconds)
    redis.call('ZADD', registry, math.floor(NOW / 1000) + seconds, job.id)
  end
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(NOW / 1000))
  keep_for(registry, 2 * a.gone_ttl)
end

-- Fields of a record that nobody reads once the job has completed: a finished job is kept for long, and must be small.
local UNTIL_COMPLETED = { 'digest', 'start_deadline_ms', 'queued_at_ms', 'ended_as' }

-- End a job: the only way into a terminal state.
-- Needs a.result_ttl, a.failed_audio_ttl and a.gone_ttl (seconds).
local function settle(job, state, fields)
  check_move(job, state)
  end_execution(job)
  drop_pieces(job)
  fields.state = state
  fields.finished_at_ms = integer(NOW)
  hset(key('job', job.id), fields)
  if state == 'completed' then
    redis.call('HDEL', key('job', job.id), unpack(UNTIL_COMPLETED))
  end
  redis.call('EXPIRE', key('job', job.id), a.result_ttl)
  -- The list of the tenant's jobs keeps the id for `gone_ttl` from the submit on. After a long wait this is too short.
  if NOW - tonumber(job.created_at_ms) > (a.gone_ttl - a.result_ttl) * 1000 then
    redis.call('SET', key('gone', job.id), job.tenant, 'EX', a.gone_ttl)
  end
  redis.call('ZREM', PREFIX .. ':deadlines', job.id)
  -- A file keeps its checkpoints as long as its audio: a retry goes on from there.
  if (state == 'failed' or state == 'expired') and a.failed_audio_ttl > 0 then
    redis.call('EXPIRE', key('audio', job.id), a.failed_audio_ttl)
    for _, name in ipairs({ checkpoints_of(job.id) }) do
      redis.call('EXPIRE', name, a.failed_audio_ttl)
    end
    redis.call('DEL', key('partial', job.id))
  else
    redis.call('DEL', key('audio', job.id), key('partial', job.id), checkpoints_of(job.id))
  end

  -- RQ showed a follower as deferred.
  if job.leader then
    redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  end
  show_ended(job, state, { ended_at = NOW_ISO })
  count(state)
  job.state = state
  tell_of_end(job, fields.origin)
end

-- Whether a failed or expired job still has audio, so that it can be revived. A job that failed with its leader has no audio of
-- its own: it gets a copy of the leader's here.
local function has_audio_again(job)
  if job.audio_of and redis.call('EXISTS', key('audio', job.id)) == 0 then
    redis.call('COPY', key('audio', job.audio_of), key('audio', job.id))
  end
  return redis.call('EXISTS', key('audio', job.id)) == 1
end

-- Give a failed or expired job a new life under its old id: its owner asked for a retry, or an operator requeued it.
-- The calling script has checked that the audio is still there, and puts the job into a lane or starts it.
-- Needs a.audio_ttl.
local function revive(job)
  local name = key('job', job.id)
  redis.call('HDEL', name,
    'finished_at_ms', 'started_at_ms', 'error', 'leader', 'progress_seconds', 'suspect', 'ended_by', 'ended_as', 'audio_of')
  hset(name, { state = 'queued', attempt = 0 })
  if job.deadline_ms then
    job.ends_by_ms = integer(NOW + tonumber(job.deadline_ms))
    hset(name, { ends_by_ms = job.ends_by_ms })
  end
  redis.call('PERSIST', name)
  redis.call('EXPIRE', key('audio', job.id), a.audio_ttl)
  for _, name in ipairs({ checkpoints_of(job.id) }) do
    redis.call('EXPIRE', name, a.audio_ttl)
  end
  redis.call('PERSIST', RQ .. ':job:' .. job.id)
  redis.call('ZREM', RQ .. ':' .. REGISTRY[job.state] .. ':' .. job.lane, job.id)
  redis.call('SET', key('flight', job.digest), job.id, 'NX')
  count('revived')
  job.state, job.attempt, job.leader = 'queued', '0', nil
end

-- A requeued dead letter has no audio any more: it stays failed or expired, and RQ's tools show it so again.
local function stay_dead(job)
  show_ended(job, job.state, {})
end
