-- The beginning of every script: its arguments, the clock, the names of keys, and the job record.
--
-- ARGV[1]  key prefix of the fleet
-- ARGV[2]  key prefix of RQ
-- ARGV[3]  the time in the form in which RQ writes it into its hashes
-- ARGV[4]  JSON object `a`: the script's own arguments
-- The scripts build the keys from the prefix; the caller does not pass them in KEYS, since only the script knows a job's
-- followers. So a fleet needs one Redis server (with replicas, if wanted); it cannot use Redis Cluster.
--
-- The job hash (`job:{id}`) is the truth. Each script also writes RQ's keys, so that RQ's own tools show the same jobs.

local PREFIX, RQ, NOW_ISO = ARGV[1], ARGV[2], ARGV[3]
local a = cjson.decode(ARGV[4])

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The legal moves, as in `shared/jobs/job.py`. Scripts check a job's state before they move it; any other move is a bug, and
-- raises an error.
local MOVES = {
  queued = { queued = true, running = true, completed = true, failed = true, canceled = true, expired = true },
  running = { queued = true, completed = true, failed = true, canceled = true, expired = true },
  completed = {},
  failed = { queued = true },
  canceled = {},
  expired = { queued = true },
}
-- How many notes about its attempts a job keeps: the last ones.
local MOST_NOTES = 50
local TERMINAL = { completed = true, failed = true, canceled = true, expired = true }
-- The registry in which RQ keeps the jobs of each end. Expired jobs are among the failed ones, since RQ has no such state.
local REGISTRY = { completed = 'finished', failed = 'failed', canceled = 'canceled', expired = 'failed' }

local function key(kind, id)
  return PREFIX .. ':' .. kind .. ':' .. id
end

local function integer(value)
  return string.format('%.0f', value)
end

-- A field of a hash that HGETALL has answered as {field, value, ...}.
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

-- For scripts that must run when Redis' memory is full, since they free some. Redis refuses a script only at its first write,
-- and it never refuses DEL.
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

-- Write fields of RQ's record of a job, which RQ's tools show. If an operator has deleted that record, no half of it comes back.
-- Returns true if the record is there.
local function tell_rq(id, fields)
  local name = RQ .. ':job:' .. id
  if redis.call('EXISTS', name) == 1 then
    hset(name, fields)
    return true
  end
end

-- Make a key last for at least half of `seconds` from now on, and for no longer than `seconds`. To set the time anew at each step
-- would cost a write more than to look first.
local function keep_for(name, seconds)
  if redis.call('PTTL', name) * 2 < seconds * 1000 then
    redis.call('EXPIRE', name, seconds)
  end
end

local function count(what)
  redis.call('HINCRBY', PREFIX .. ':totals', what, 1)
end
