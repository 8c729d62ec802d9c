-- Prepended to every script of this folder, with the parts that `shared/jobs/scripting.py` names: names, clock, lanes.
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

-- The legal moves, as in `shared/jobs/job.py`. Callers look before they leap; a move that is not here is a bug, and loud.
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

-- What RQ's tools see of a job. One that an operator has deleted there gets no half of a record back.
local function tell_rq(id, fields)
  local name = RQ .. ':job:' .. id
  if redis.call('EXISTS', name) == 1 then
    hset(name, fields)
    return true
  end
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
  tell_rq(job.id, { status = 'queued', enqueued_at = NOW_ISO, origin = job.lane })
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

-- A record that a sweep cannot handle keeps it from no other: it is taken out of `members` and remembered among the broken.
-- Filled by `guarded`: id, error, ...
local broken = {}
local MOST_BROKEN = 1000

local function guarded(id, members, handle)
  local is_well, problem = pcall(handle)
  if is_well then
    return
  end
  broken[#broken + 1] = id
  broken[#broken + 1] = type(problem) == 'table' and problem.err or tostring(problem)
  if redis.call('TYPE', members).ok == 'set' then
    redis.call('SREM', members, id)
  else
    redis.call('ZREM', members, id)
  end
  redis.call('ZADD', PREFIX .. ':broken', NOW, id)
  redis.call('ZREMRANGEBYRANK', PREFIX .. ':broken', 0, -MOST_BROKEN - 1)
  count('broken')
end
