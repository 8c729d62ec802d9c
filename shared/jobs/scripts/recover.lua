-- Bring back what dead workers held. Any worker may run it at any time.
--
-- a.max_attempts   how many attempts a job has
-- a.poison_error   JSON string: the error of a job that took down a worker each time
-- a.limit          how many to handle at most
-- a.lease_ms       how long a lease lasts
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns {ids put back, ids failed, broken records as {id, error, ...}}.
-- uses: executions lanes flights sweeping
even_when_full()
local back, failed = {}, {}

local function look_at(id)
  local job = load_job(id)
  if not job or job.state ~= 'running' then
    redis.call('ZREM', PREFIX .. ':in_flight', id)
    return
  end
  note_attempt(job, 'worker_lost', 'The worker fell silent and its lease lapsed.')
  if tonumber(job.attempt) >= a.max_attempts then
    give_up(job, a.poison_error)
    failed[#failed + 1] = id
    return
  end
  -- A lost host is nobody's fault. Two of them with the same job are remarkable.
  if tonumber(job.attempt) > 1 then
    suspect(job)
  end
  end_execution(job)
  enter_lane(job, true)
  count('recovered')
  back[#back + 1] = id
end

-- A lease that ends later than one that is given now was given before the clock was set back. From now on it is as long as
-- all are: its worker renews it, or it lapses.
local in_flight, too_late = PREFIX .. ':in_flight', integer(NOW + 2 * a.lease_ms)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', in_flight, too_late, '+inf', 'LIMIT', 0, a.limit)) do
  redis.call('ZADD', in_flight, integer(NOW + a.lease_ms), id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', PREFIX .. ':in_flight', '-inf', NOW, 'LIMIT', 0, a.limit)) do
  guarded(id, PREFIX .. ':in_flight', function() look_at(id) end)
end
return { back, failed, broken }
