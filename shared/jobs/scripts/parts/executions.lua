-- Executions: a worker's lease on a job, and the notes about its attempts.
-- uses: prelude

-- Give a.worker a lease and a fencing token; RQ's tools show it at work. Returns the job's hash as {field, value, ...}.
-- Needs a.worker, a.execution, a.lease_ms and a.audio_ttl.
local function begin_execution(job)
  local token = redis.call('INCR', PREFIX .. ':token')
  hset(key('job', job.id), { token = token, worker = a.worker, execution = a.execution })
  redis.call('ZADD', PREFIX .. ':in_flight', NOW + a.lease_ms, job.id)
  redis.call('EXPIRE', key('audio', job.id), a.audio_ttl)

  local member, seconds = job.id .. ':' .. a.execution, NOW / 1000
  tell_rq(job.id, { status = 'started', started_at = NOW_ISO, last_heartbeat = NOW_ISO, worker_name = a.worker })
  redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  hset(RQ .. ':execution:' .. member, {
    id = a.execution, job_id = job.id, worker_name = a.worker, created_at = seconds, last_heartbeat = seconds,
  })
  redis.call('EXPIRE', RQ .. ':execution:' .. member, a.audio_ttl)
  redis.call('ZADD', RQ .. ':executions:' .. job.id, seconds + a.audio_ttl, a.execution)
  redis.call('EXPIRE', RQ .. ':executions:' .. job.id, a.audio_ttl)
  -- The score is far in the future: leases lapse in `in_flight`, and RQ's clean-up must not fail a job that we will recover.
  redis.call('ZADD', RQ .. ':wip:' .. job.lane, seconds + a.audio_ttl, member)
  redis.call('SADD', RQ .. ':worker:' .. a.worker .. ':executions', member)
  redis.call('EXPIRE', RQ .. ':worker:' .. a.worker .. ':executions', a.audio_ttl)
  return redis.call('HGETALL', key('job', job.id))
end

local function end_execution(job)
  redis.call('ZREM', PREFIX .. ':in_flight', job.id)
  if not job.execution then
    return
  end
  local member = job.id .. ':' .. job.execution
  redis.call('ZREM', RQ .. ':wip:' .. job.lane, member)
  redis.call('DEL', RQ .. ':execution:' .. member, RQ .. ':executions:' .. job.id)
  redis.call('SREM', RQ .. ':worker:' .. job.worker .. ':executions', member)
  redis.call('HDEL', key('job', job.id), 'execution')
end

-- Move a job that runs, or waits for its pieces, to another lane. If it has to wait again, it waits there.
local function change_lane(job, lane)
  for registry, member in pairs({ wip = job.id .. ':' .. (job.execution or ''), deferred = job.id }) do
    local score = redis.call('ZSCORE', RQ .. ':' .. registry .. ':' .. job.lane, member)
    if score then
      redis.call('ZREM', RQ .. ':' .. registry .. ':' .. job.lane, member)
      redis.call('ZADD', RQ .. ':' .. registry .. ':' .. lane, score, member)
    end
  end
  hset(key('job', job.id), { lane = lane })
  tell_rq(job.id, { origin = lane })
  job.lane = lane
end

-- The record that a caller sees: of a piece, its file's; of any other job, its own.
local function file_of(job)
  return job.parent and load_job(job.parent) or job
end

local function in_piece(job, message)
  local from, to, channel = string.match(job.piece or '', '^(%d+)-(%d+)@?(%d*)$')
  if not from then
    return message
  end
  local of = channel ~= '' and ' of channel ' .. channel or ''
  return string.format('Piece %.1f-%.1f s%s: %s', from / 1000, to / 1000, of, message)
end

-- Note why an attempt ended without a result. The notes are part of the record, for operators who look into a dead letter.
local function note_attempt(job, code, message)
  local file = file_of(job)
  local history = file.history and cjson.decode(file.history) or {}
  history[#history + 1] = {
    attempt = tonumber(job.attempt), worker = job.worker, code = code, message = in_piece(job, message), at_ms = NOW,
  }
  if #history > MOST_NOTES then
    table.remove(history, 1)
  end
  file.history = cjson.encode(history)
  hset(key('job', file.id), { history = file.history })
end

-- The job may have ended its model process: its next attempt has a worker to itself.
local function suspect(job)
  hset(key('job', job.id), { suspect = 1 })
end

-- Add to RQ's own counters, which its page of workers shows. If RQ has no record of the worker any more, none is made.
local function tally(job, what)
  local worker = RQ .. ':worker:' .. job.worker
  if redis.call('EXISTS', worker) == 1 then
    redis.call('HINCRBY', worker, what, 1)
  end
end
