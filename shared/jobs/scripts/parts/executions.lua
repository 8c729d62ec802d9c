-- Executions: a worker's lease on a job, and the notes about its attempts.
-- uses: prelude

-- Give a.worker a lease and a fencing token, and write `fields` into the job's hash. Returns that hash as {field, value, ...}.
-- RQ's tools show the job at work: in its registry of started jobs from now on, and on the worker's own line from the worker's
-- next beat on (beat.lua).
-- Needs a.worker, a.execution, a.lease_ms and a.audio_ttl.
local function begin_execution(job, fields)
  local audio = key('audio', job.id)
  fields.token, fields.worker, fields.execution = redis.call('INCR', PREFIX .. ':token'), a.worker, a.execution
  hset(key('job', job.id), fields)
  redis.call('ZADD', PREFIX .. ':in_flight', NOW + a.lease_ms, job.id)
  keep_for(audio, 2 * a.audio_ttl)

  tell_rq(job.id, { status = 'started', started_at = NOW_ISO, worker_name = a.worker })
  -- RQ showed a file as deferred while it waited for its pieces.
  if job.pieces then
    redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  end
  -- The score is far in the future: leases lapse in `in_flight`, and RQ's clean-up must not fail a job that we will recover.
  redis.call('ZADD', RQ .. ':wip:' .. job.lane, NOW / 1000 + a.audio_ttl, job.id .. ':' .. a.execution)
  return redis.call('HGETALL', key('job', job.id))
end

-- End the lease of a job, if it is under one. If its worker has not asked for this itself, it is told to stop the decode.
local function end_execution(job)
  if not job.execution then
    return
  end
  local member = job.id .. ':' .. job.execution
  redis.call('ZREM', PREFIX .. ':in_flight', job.id)
  redis.call('ZREM', RQ .. ':wip:' .. job.lane, member)
  -- The second key is of workers of release 0.3.
  redis.call('DEL', RQ .. ':execution:' .. member, RQ .. ':executions:' .. job.id)
  redis.call('SREM', RQ .. ':worker:' .. job.worker .. ':executions', member)
  redis.call('HDEL', key('job', job.id), 'execution', 'token')
  if not a.token or a.id ~= job.id then
    redis.call('PUBLISH', key('withdrawn', job.worker), job.id .. ':' .. job.token)
  end
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
