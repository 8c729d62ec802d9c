-- End the jobs whose deadline has passed: those that nobody started in time, and those that did not end in time.
-- Any gateway may run it at any time.
--
-- a.limit   how many to handle at most
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns {ids of the expired, broken records as {id, error, ...}}.
-- uses: executions flights sweeping
even_when_full()
local expired = {}

local function look_at(id)
  local job = load_job(id)
  if not job or TERMINAL[job.state] then
    redis.call('ZREM', PREFIX .. ':deadlines', id)
  elseif job.leader and tonumber(job.ends_by_ms or NOW + 1) > NOW
      and redis.call('HGET', key('job', job.leader), 'state') == 'running' then
    -- Its decode has begun, if under another id: now only the end counts.
    watch_deadline(job, nil, 'CH')
  else
    if job.state == 'running' then
      note_attempt(job, 'deadline_passed', 'The deadline of the job passed while this attempt was decoding.')
    end
    expired[#expired + 1] = file_of(job).id
    withdraw(job, 'expired')
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', PREFIX .. ':deadlines', '-inf', NOW, 'LIMIT', 0, a.limit)) do
  guarded(id, PREFIX .. ':deadlines', function() look_at(id) end)
end
return { expired, broken }
