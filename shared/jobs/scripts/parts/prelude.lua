-- What every script begins with: its arguments, the clock, the names of keys, and the job record.
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

-- A field of a hash as HGETALL answers it.
local function field_of(flat, name)
  for i = 1, #flat, 2 do
    if flat[i] == name then
      return flat[i + 1]
    end
  end
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
