-- Take back the jobs of dead workers. Any worker may run this script at any time.
--
-- a.max_attempts   how many attempts a job has
-- a.poison_error   JSON string: the error of a job that lost its worker at every attempt
-- a.limit          how many jobs to handle at most
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
  -- The first lost worker does not make the job a suspect: a host can fail. The second one does.
  if tonumber(job.attempt) > 1 then
    suspect(job)
  end
  end_execution(job)
  enter_lane(job, true)
  count('recovered')
  back[#back + 1] = id
end

-- If a lease ends more than two lease times from now, it was given before the clock was set back. It is cut to one lease time:
-- its worker renews it, or it lapses.
local in_flight, too_late = PREFIX .. ':in_flight', integer(NOW + 2 * a.lease_ms)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', in_flight, too_late, '+inf', 'LIMIT', 0, a.limit)) do
  redis.call('ZADD', in_flight, integer(NOW + a.lease_ms), id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', PREFIX .. ':in_flight', '-inf', NOW, 'LIMIT', 0, a.limit)) do
  guarded(id, PREFIX .. ':in_flight', function() look_at(id) end)
end
return { back, failed, broken }
