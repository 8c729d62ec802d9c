-- A job as its owner sees it, all of one moment.
--
-- a.id, a.tenant   the job and who asks
--
-- Returns 'unknown' (or somebody else's), 'gone', or {its hash as {field, value, ...}, its transcript (JSON; nil while it
-- has none), its segments so far, how many jobs are started before it (nil unless it waits)}.

-- A follower stands where its leader does; whoever is not urgent waits for all who are.
local function jobs_ahead(job)
  local id, lane = job.leader or job.id, job.lane
  if job.leader then
    lane = redis.call('HGET', key('job', job.leader), 'lane') or lane
  end
  local place = redis.call('LPOS', RQ .. ':queue:' .. lane, id)
  local urgent = PREFIX .. '.' .. job.model .. '.interactive'
  if place and lane ~= urgent then
    place = place + redis.call('LLEN', RQ .. ':queue:' .. urgent)
  end
  return place
end

local job, refusal = owned()
if not job then
  return refusal
end
local transcript = redis.call('GET', key('transcript', job.id))
if job.state == 'completed' and not transcript then
  return 'gone'
end
return {
  redis.call('HGETALL', key('job', job.id)),
  transcript,
  redis.call('LRANGE', key('partial', job.id), 0, -1),
  job.state == 'queued' and jobs_ahead(job),
}
