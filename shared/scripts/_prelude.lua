-- Prepended to every script of this folder: names, clock, and the few moves that all scripts share.
--
-- ARGV[1]  key prefix of the fleet
-- ARGV[2]  key prefix of RQ
-- ARGV[3]  the time as RQ writes it into its hashes
-- ARGV[4]  JSON object `a`: the script's own arguments
-- Keys are built from the prefix here and not passed in KEYS: a job's followers are only known inside. One Redis
-- server (with replicas, if wanted) holds a fleet; Redis Cluster does not.
--
-- The job hash (`job:{id}`) is the truth. RQ's keys are kept in step, so that RQ's own tools show the same picture.

local PREFIX, RQ, NOW_ISO = ARGV[1], ARGV[2], ARGV[3]
local a = cjson.decode(ARGV[4])

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The legal moves, as in `shared/job.py`. Callers look before they leap; a move that is not here is a bug, and loud.
local MOVES = {
  queued = { queued = true, running = true, completed = true, failed = true, canceled = true, expired = true },
  running = { queued = true, completed = true, failed = true, canceled = true, expired = true },
  completed = {},
  failed = { queued = true },
  canceled = {},
  expired = { queued = true },
}
-- Of a job's attempts the last ones are remembered.
local MOST_NOTES = 50
local TERMINAL = { completed = true, failed = true, canceled = true, expired = true }
-- The registry in which RQ keeps a job of each state. Expired jobs stand with the failed ones; RQ knows no such state.
local REGISTRY = { completed = 'finished', failed = 'failed', canceled = 'canceled', expired = 'failed' }

local function key(kind, id)
  return PREFIX .. ':' .. kind .. ':' .. id
end

local function integer(value)
  return string.format('%.0f', value)
end

local function load_job(id)
  local flat = redis.call('HGETALL', key('job', id))
  if #flat == 0 then
    return nil
  end
  local job = {}
  for i = 1, #flat, 2 do
    job[flat[i]] = flat[i + 1]
  end
  return job
end

-- For scripts that must go through when memory is full, since they free some: Redis refuses a script only at its first
-- write, and DEL is never refused.
local function even_when_full()
  redis.call('DEL', PREFIX .. ':nothing')
end

local function check_move(job, state)
  if not MOVES[job.state][state] then
    error('illegal move of job ' .. job.id .. ': ' .. job.state .. ' -> ' .. state)
  end
end

local function hset(name, fields)
  local flat = {}
  for field, value in pairs(fields) do
    flat[#flat + 1] = field
    flat[#flat + 1] = type(value) == 'number' and string.format('%.17g', value) or value
  end
  redis.call('HSET', name, unpack(flat))
end

local function count(what)
  redis.call('HINCRBY', PREFIX .. ':totals', what, 1)
end

-- What waits in the lanes, for backpressure and ETA. Called exactly when a job enters or leaves a lane.
local function weigh(job, sign)
  local load = PREFIX .. ':load'
  if sign < 0 then
    redis.call('ZREM', key('order', job.lane), job.id)
  end
  redis.call('HINCRBY', load, 'jobs', sign)
  redis.call('HINCRBY', load, 'bytes', sign * tonumber(job.size_bytes))
  redis.call('HINCRBY', load, 'audio_ms', integer(sign * math.floor(tonumber(job.audio_seconds) * 1000)))
end

-- Watch a job until `at` (ms), or until it must have ended if that is sooner. Neither: nothing to watch.
local function watch_deadline(job, at, flag)
  local ends_at = tonumber(job.ends_by_ms)
  at = at and ends_at and math.min(at, ends_at) or at or ends_at
  if at then
    redis.call('ZADD', PREFIX .. ':deadlines', flag, integer(at), job.id)
  else
    redis.call('ZREM', PREFIX .. ':deadlines', job.id)
  end
end

-- The lane's order once more, in a form that can be asked for a place: members are ids, scores the audio (ms) that has
-- been put in before each. So a rank is how many jobs come first, and a difference of scores how much audio.
local function take_place(job, at_front)
  local order, audio_ms = key('order', job.lane), math.floor(tonumber(job.audio_seconds) * 1000)
  local first = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]
  local score
  if at_front and first then
    score = tonumber(first) - audio_ms
  else
    score = redis.call('HINCRBY', PREFIX .. ':load', 'through:' .. job.lane, audio_ms) - audio_ms
  end
  redis.call('ZADD', order, score, job.id)
end

local function enter_lane(job, at_front)
  check_move(job, 'queued')
  hset(key('job', job.id), { state = 'queued', queued_at_ms = integer(NOW) })
  redis.call('HDEL', key('job', job.id), 'token', 'leader')
  hset(RQ .. ':job:' .. job.id, { status = 'queued', enqueued_at = NOW_ISO, origin = job.lane })
  redis.call('SADD', RQ .. ':queues', RQ .. ':queue:' .. job.lane)
  redis.call(at_front and 'LPUSH' or 'RPUSH', RQ .. ':queue:' .. job.lane, job.id)
  weigh(job, 1)
  take_place(job, at_front)
  -- Whoever waits, waits with a deadline: also a job that was handed back, and whose lane nobody serves any more.
  watch_deadline(job, NOW + tonumber(job.start_deadline_ms), 'LT')
  -- One token wakes one idle worker. Lost tokens cost at most the worker's idle timeout; a hundred are enough.
  local bell = key('bell', job.lane)
  redis.call('LPUSH', bell, 1)
  redis.call('LTRIM', bell, 0, 99)
  redis.call('EXPIRE', bell, 60)
end

-- Take a job out of its lane, wherever it stands. It was weighed when it entered, even if RQ's tools have removed it since.
local function leave_lane(job)
  redis.call('LREM', RQ .. ':queue:' .. job.lane, 1, job.id)
  weigh(job, -1)
end

-- The worker gets a lease and a fencing token, and RQ's tools see it at work. Returns the job's hash as {field, value, ...}.
-- Needs a.worker, a.execution, a.lease_ms and a.audio_ttl.
local function begin_execution(job)
  local token, name = redis.call('INCR', PREFIX .. ':token'), RQ .. ':job:' .. job.id
  hset(key('job', job.id), { token = token, worker = a.worker, execution = a.execution })
  redis.call('ZADD', PREFIX .. ':in_flight', NOW + a.lease_ms, job.id)
  redis.call('EXPIRE', key('audio', job.id), a.audio_ttl)

  local member, seconds = job.id .. ':' .. a.execution, NOW / 1000
  hset(name, { status = 'started', started_at = NOW_ISO, last_heartbeat = NOW_ISO, worker_name = a.worker })
  redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
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

-- Whose record a caller sees: the job's own, or that of the file it is a piece of.
local function file_of(job)
  return job.parent and load_job(job.parent) or job
end

local function in_piece(job, message)
  local from, to = string.match(job.piece or '', '^(%d+)-(%d+)$')
  return from and string.format('Piece %.1f-%.1f s: %s', from / 1000, to / 1000, message) or message
end

-- Why an attempt ended without a result; the list is part of the record, for whoever looks into a dead letter.
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

-- It may have ended its model process: its next attempt has a worker to itself.
local function suspect(job)
  hset(key('job', job.id), { suspect = 1 })
end

-- RQ's own counters on its page of workers. A worker that RQ has forgotten gets no key anew.
local function tally(job, what)
  local worker = RQ .. ':worker:' .. job.worker
  if redis.call('EXISTS', worker) == 1 then
    redis.call('HINCRBY', worker, what, 1)
  end
end

-- A piece leaves no trace but its checkpoint: its file tells how it went.
local function drop_piece(piece)
  if piece.state == 'queued' then
    leave_lane(piece)
  end
  end_execution(piece)
  redis.call('ZREM', PREFIX .. ':deadlines', piece.id)
  redis.call('DEL', key('job', piece.id), key('audio', piece.id), key('partial', piece.id), RQ .. ':job:' .. piece.id)
end

local function piece_id(file, number)
  return file.id .. '_p' .. integer(number)
end

-- What the pieces of a file have come to: their transcripts, and their text for whoever watches.
local function checkpoints_of(id)
  return key('pieces', id), key('said', id)
end

-- The file is about to end, or to be cut anew: whoever decodes a piece of it finds itself without a lease. Also of pieces that
-- were put and never queued nothing is left.
local function drop_pieces(file)
  local most = math.max(tonumber(file.pieces or 0), tonumber(file.put_pieces or 0))
  if most == 0 then
    return
  end
  for number = 1, most do
    local id = piece_id(file, number)
    local piece = load_job(id)
    if piece then
      drop_piece(piece)
    else
      redis.call('DEL', key('audio', id))
    end
  end
  redis.call('HDEL', key('job', file.id), 'pieces', 'pieces_left', 'put_pieces')
end

-- The file whose last piece was this one, if its worker asks again because the answer was lost.
local function asked_again(file_id)
  local file = file_id and load_job(file_id)
  if file and file.state == 'running' and file.execution == a.execution then
    return redis.call('HGETALL', key('job', file_id))
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
  hset(rq_job, { status = REGISTRY[state], ended_at = NOW_ISO })
  redis.call('EXPIRE', rq_job, a.result_ttl)
  redis.call('ZREM', RQ .. ':deferred:' .. job.lane, job.id)
  redis.call('ZADD', registry, math.floor(NOW / 1000) + a.result_ttl, job.id)
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(NOW / 1000))
  redis.call('EXPIRE', registry, a.gone_ttl)

  count(state)
  redis.call('PUBLISH', PREFIX .. ':events', job.id)
  job.state = state
end

-- A failed or expired job gets a new life under its old id: its owner asked for a retry, or an operator requeued it.
-- The caller has seen that its audio is still there, and puts it into a lane or starts it.
-- Needs a.audio_ttl.
local function revive(job)
  local name = key('job', job.id)
  redis.call('HDEL', name, 'finished_at_ms', 'started_at_ms', 'error', 'leader', 'progress_seconds', 'suspect')
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
  if not heir or redis.call('EXISTS', key('audio', job.id)) == 0 then
    close_flight(job)
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
    settle(follower, 'failed', { error = fields.error })
  end
end

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

-- A job as its owner sees it, all of one moment; nil when it is completed and its transcript is kept no longer.
-- Needs a.lanes: the kinds of lanes, the most urgent first.
local function view(job)
  local transcript = redis.call('GET', key('transcript', job.id))
  if job.state == 'completed' and not transcript then
    return nil
  end
  return {
    redis.call('HGETALL', key('job', job.id)),
    transcript,
    redis.call('LRANGE', key('partial', job.id), 0, -1),
    job.state == 'queued' and ahead_of(job),
    job.pieces and job.state == 'running' and redis.call('HGETALL', key('said', job.id)) or {},
  }
end

-- The job that a caller may touch, or nil and what to answer: 'gone' for one of theirs that is no more, else 'unknown'.
-- Needs a.id and a.tenant.
local function owned()
  local job = load_job(a.id)
  if job and job.tenant == a.tenant then
    return job
  end
  local gone = not job and redis.call('GET', key('gone', a.id)) == a.tenant
  return nil, gone and 'gone' or 'unknown'
end

-- The job that a worker may write to: running, and still under the token it was given. Nil, counted, if not.
local function held(id, token)
  local job = load_job(id)
  if job and job.state == 'running' and job.token == integer(token) then
    return job
  end
  count('refused_writes')
  return nil
end
