-- End the jobs whose deadline has passed: jobs that no worker started in time, and jobs that did not end in time.
-- Any gateway may run this script at any time.
--
-- a.limit   how many jobs to handle at most
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns {ids of the expired jobs, broken records as {id, error, ...}}.
-- uses: executions flights sweeping
even_when_full()
local expired = {}

local function look_at(id)
  local job = load_job(id)
  if not job or TERMINAL[job.state] then
    redis.call('ZREM', PREFIX .. ':deadlines', id)
  elseif job.leader and tonumber(job.ends_by_ms or NOW + 1) > NOW
      and redis.call('HGET', key('job', job.leader), 'state') == 'running' then
    -- The leader is being decoded, so this follower has been started in time: only its deadline for the end is left.
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
