-- A worker says that it lives: renew the leases of its jobs, its card and its place among the workers, and show it in RQ's tools.
-- Each worker does so every fifth of a lease. The answer tells it what it would otherwise have to ask for.
--
-- a.worker       the worker's name
-- a.lease_ms     how long the leases last, from now
-- a.jobs         the jobs that the worker holds: list of {id, token, execution}
-- a.card         field, value, ... of the worker's card, as far as they have changed
-- a.ttl_ms       how long the card is kept after the last beat
-- a.model, a.device   the model, and the kind of device it runs on
-- a.is_ready     whether the fleet can count on the worker
-- a.revision     the revision under which the worker caches; '' while it is unknown
-- a.expected_ttl seconds for which gateways expect the model back after its last worker was heard of
-- a.rq           fields of RQ's record of the worker: its state and its counters
--
-- Returns {verdict per job: 'ok', or 'stale' when the job is no longer this worker's (cancelled, recovered, erased),
-- 1 if a lease of any worker has lapsed (recover.lua has work), 1 if the worker's card and RQ's record of it are there}; 0
-- otherwise.
-- uses: prelude
even_when_full()
local IN_FLIGHT, SECONDS = PREFIX .. ':in_flight', math.ceil(a.ttl_ms / 1000)
local MOST_SILENT_MS = 10 * a.ttl_ms

-- The worker's leases end together. Returns the verdicts, and the jobs whose leases are renewed.
local function renew()
  local verdicts, held, leases = {}, {}, {}
  for i, mine in ipairs(a.jobs) do
    local known = redis.call('HMGET', key('job', mine.id), 'state', 'token')
    verdicts[i] = known[1] == 'running' and known[2] == integer(mine.token) and 'ok' or 'stale'
    if verdicts[i] == 'ok' then
      held[#held + 1] = mine
      leases[#leases + 1] = NOW + a.lease_ms
      leases[#leases + 1] = mine.id
    end
  end
  if #held > 0 then
    redis.call('ZADD', IN_FLIGHT, unpack(leases))
  end
  return verdicts, held
end

-- A beat in the future was written before the clock was set back. A living worker beats again.
local function stand_in(workers)
  redis.call('ZREMRANGEBYSCORE', workers, integer(NOW + a.ttl_ms), '+inf')
  redis.call('ZADD', workers, NOW, a.worker)
  redis.call('ZREMRANGEBYSCORE', workers, '-inf', NOW - MOST_SILENT_MS)
end

-- Returns whether the worker's card is there.
local function announce()
  if #a.card > 0 then
    redis.call('HSET', key('worker', a.worker), unpack(a.card))
  end
  local has_card = redis.call('PEXPIRE', key('worker', a.worker), a.ttl_ms) == 1
  stand_in(PREFIX .. ':workers')
  local of_kind = key('workers', a.device .. ':' .. a.model)
  if a.is_ready then
    stand_in(of_kind)
    redis.call('PEXPIRE', of_kind, a.ttl_ms)
  else
    redis.call('ZREM', of_kind, a.worker)
  end
  if a.revision ~= '' then
    local revisions = key('revisions', a.model)
    redis.call('ZADD', revisions, NOW, a.revision)
    redis.call('ZREMRANGEBYSCORE', revisions, '-inf', NOW - MOST_SILENT_MS)
    keep_for(revisions, 2 * a.expected_ttl)
  end
  return has_card
end

-- RQ's page of workers shows a job for each execution of a worker. Shorter jobs than a beat do not come there.
local function show_at_work(held)
  local index = RQ .. ':worker:' .. a.worker .. ':executions'
  for _, mine in ipairs(held) do
    local member = mine.id .. ':' .. mine.execution
    local name, seconds = RQ .. ':execution:' .. member, NOW / 1000
    hset(name, {
      id = mine.execution, job_id = mine.id, worker_name = a.worker, created_at = seconds, last_heartbeat = seconds,
    })
    redis.call('EXPIRE', name, SECONDS)
    redis.call('SADD', index, member)
  end
  if #held > 0 then
    redis.call('EXPIRE', index, SECONDS)
  end
end

-- If RQ has no record of the worker (Redis was emptied), none is made: the worker registers anew.
local function show_in_rq(held)
  local name = RQ .. ':worker:' .. a.worker
  if redis.call('EXISTS', name) == 0 then
    return false
  end
  a.rq.last_heartbeat = NOW_ISO
  hset(name, a.rq)
  redis.call('EXPIRE', name, SECONDS)
  show_at_work(held)
  return true
end

-- Whether recover.lua has anything to do. A lease that ends far in the future was given before the clock was set back.
local function any_lapsed()
  local in_time = redis.call('ZCOUNT', IN_FLIGHT, '(' .. integer(NOW), integer(NOW + 2 * a.lease_ms))
  return in_time < redis.call('ZCARD', IN_FLIGHT) and 1 or 0
end

local verdicts, held = renew()
local has_card, is_in_rq = announce(), show_in_rq(held)
return { verdicts, any_lapsed(), has_card and is_in_rq and 1 or 0 }
