-- How a job ends, and how it gets a new life.
-- uses: lanes executions pieces access

-- An end up to this size is told to all gateways: the one that waits for it need not ask, the others throw it away.
local MOST_TOLD_BYTES = 16384

-- What read.lua would answer, as JSON; empty if it is large, or may not be true any more when it is heard: a job that comes back
-- to life must be looked at.
local function told_of(job)
  if MOVES[job.state].queued or redis.call('STRLEN', key('transcript', job.id)) > MOST_TOLD_BYTES then
    return ''
  end
  local told = cjson.encode(view(job))
  return #told <= MOST_TOLD_BYTES and told or ''
end

-- An event: the job's id, and behind a line break what is told of it. Nobody can wait for a job that was answered from the cache:
-- its submit is its end.
local function tell_of_end(job, origin)
  if origin ~= 'cache' then
    redis.call('PUBLISH', PREFIX .. ':events', job.id .. '\n' .. told_of(job))
  end
end

-- RQ's tools show the job among those that ended like it, as long as RQ has a record of it.
-- Needs a.result_ttl and a.gone_ttl (seconds).
local function show_ended(job, state, fields)
  local registry = RQ .. ':' .. REGISTRY[state] .. ':' .. job.lane
  fields.status = REGISTRY[state]
  if tell_rq(job.id, fields) then
    redis.call('EXPIRE', RQ .. ':job:' .. job.id, a.result_ttl)
    redis.call('ZADD', registry, math.floor(NOW / 1000) + a.result_ttl, job.id)
  end
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(NOW / 1000))
  redis.call('EXPIRE', registry, a.gone_ttl)
end

-- The one way into a terminal state.
-- Needs a.result_ttl, a.failed_audio_ttl and a.gone_ttl (seconds).
local function settle(job, state, fields)
  check_move(job, state)
  end_execution(job)
  drop_pieces(job)
  fields.state = state
  fields.finished_at_ms = integer(NOW)
  hset(key('job', job.id), fields)
  redis.call('HDEL', key('job', job.id), 'token')
  redis.call('EXPIRE', key('job', job.id), a.result_ttl)
  redis.call('SET', key('gone', job.id), job.tenant, 'EX', a.gone_ttl)
  redis.call('ZREM', PREFIX .. ':deadlines', job.id)
  redis.call('DEL', key('partial', job.id))
  -- With its audio a file keeps the pieces that are done: a retry goes on from there.
  if (state == 'failed' or state == 'expired') and a.failed_audio_ttl > 0 then
    redis.call('EXPIRE', key('audio', job.id), a.failed_audio_ttl)
    for _, name in ipairs({ checkpoints_of(job.id) }) do
      redis.call('EXPIRE', name, a.failed_audio_ttl)
    end
  else
    redis.call('DEL', key('audio', job.id), checkpoints_of(job.id))
  end

  redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  show_ended(job, state, { ended_at = NOW_ISO })
  count(state)
  job.state = state
  tell_of_end(job, fields.origin)
end

-- Whether a failed or expired job can have another life. One that failed with the job that it followed has no audio of its own,
-- as long as nobody wants it again.
local function has_audio_again(job)
  if job.audio_of and redis.call('EXISTS', key('audio', job.id)) == 0 then
    redis.call('COPY', key('audio', job.audio_of), key('audio', job.id))
  end
  return redis.call('EXISTS', key('audio', job.id)) == 1
end

-- A failed or expired job gets a new life under its old id: its owner asked for a retry, or an operator requeued it.
-- The caller has seen that its audio is still there, and puts it into a lane or starts it.
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
  redis.call('DEL', key('gone', job.id))
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

-- A dead letter that was requeued has no audio any more: it stays dead, and RQ's tools show it as such.
local function stay_dead(job)
  show_ended(job, job.state, {})
end
