-- How jobs end, come back to life, and what becomes of those that share their flight.

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

  local rq_job, registry = RQ .. ':job:' .. job.id, RQ .. ':' .. REGISTRY[state] .. ':' .. job.lane
  redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  if tell_rq(job.id, { status = REGISTRY[state], ended_at = NOW_ISO }) then
    redis.call('EXPIRE', rq_job, a.result_ttl)
    redis.call('ZADD', registry, math.floor(NOW / 1000) + a.result_ttl, job.id)
  end
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(NOW / 1000))
  redis.call('EXPIRE', registry, a.gone_ttl)

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
    'finished_at_ms', 'started_at_ms', 'error', 'leader', 'progress_seconds', 'suspect', 'ended_by', 'audio_of')
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
  if tell_rq(job.id, { status = REGISTRY[job.state] }) then
    redis.call('ZADD', RQ .. ':' .. REGISTRY[job.state] .. ':' .. job.lane, math.floor(NOW / 1000) + a.result_ttl, job.id)
  end
end

local function followers_of(job)
  return redis.call('ZRANGE', key('followers', job.digest), 0, -1)
end

local function leads(job)
  return redis.call('GET', key('flight', job.digest)) == job.id
end

-- The flight of a job is over: forget it, and return its followers' jobs for the caller to settle.
local function close_flight(job)
  local followers = {}
  if not leads(job) then
    return followers
  end
  for _, id in ipairs(followers_of(job)) do
    local follower = load_job(id)
    if follower and not TERMINAL[follower.state] then
      followers[#followers + 1] = follower
    end
  end
  redis.call('DEL', key('flight', job.digest), key('followers', job.digest))
  return followers
end

local AUDIO_LOST = cjson.encode({
  code = 'audio_lost', message = 'The audio was kept no longer when its turn came; submit it again.', retryable = false,
})

-- The leader leaves without a result that would suit the others: the first follower takes its audio and its place.
-- Must run before the leader is settled, since that drops the audio.
local function promote_follower(job)
  if not leads(job) then
    return
  end
  local heir
  for _, id in ipairs(followers_of(job)) do
    redis.call('ZREM', key('followers', job.digest), id)
    local follower = load_job(id)
    if follower and follower.state == 'queued' then
      heir = follower
      break
    end
  end
  if not heir then
    close_flight(job)
    return
  elseif redis.call('EXISTS', key('audio', job.id)) == 0 then
    settle(heir, 'failed', { error = AUDIO_LOST })
    for _, follower in ipairs(close_flight(job)) do
      settle(follower, 'failed', { error = AUDIO_LOST })
    end
    return
  end
  redis.call('RENAME', key('audio', job.id), key('audio', heir.id))
  for _, kind in ipairs({ 'pieces', 'said' }) do
    if redis.call('EXISTS', key(kind, job.id)) == 1 then
      redis.call('RENAME', key(kind, job.id), key(kind, heir.id))
    end
  end
  redis.call('SET', key('flight', job.digest), heir.id)
  redis.call('ZREM', RQ .. ':deferred:' .. heir.lane, heir.id)
  for _, id in ipairs(followers_of(job)) do
    hset(key('job', id), { leader = heir.id })
  end
  enter_lane(heir, true)
end

-- An unfinished job ends without a result, for reasons of its own: those that follow it go on without it.
local function withdraw(job, state)
  job = file_of(job)
  if job.leader then
    redis.call('ZREM', key('followers', job.digest), job.id)
  else
    if job.state == 'queued' then
      leave_lane(job)
    end
    promote_follower(job)
  end
  settle(job, state, {})
end

-- A job cannot be transcribed. Equal jobs that wait for it have the same audio and options, and so fail with it: decoding
-- the same bytes again for each of them would fail in the same way. `error` is JSON {code, message, retryable}.
local function give_up(job, error)
  local told, file = cjson.decode(error), file_of(job)
  told.message = in_piece(job, told.message)
  local followers, fields = close_flight(file), { error = cjson.encode(told) }
  settle(file, 'failed', fields)
  for _, follower in ipairs(followers) do
    settle(follower, 'failed', { error = fields.error, audio_of = file.id })
  end
end
