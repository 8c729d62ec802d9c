-- Which tenant may see or touch a job, and what that tenant sees.
-- uses: prelude

-- How many jobs, and how much audio (ms), are started before a waiting job: {jobs, ms}, or false if the job is in no lane.
-- A follower has its leader's place. A job also waits for all jobs in more urgent lanes of its model.
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
  for _, urgent in ipairs(a.lane_kinds) do
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
  -- Scores still count jobs that have left the middle of the lane. The audio that waits in all lanes does not: it is the limit.
  local others = tonumber(redis.call('HGET', PREFIX .. ':load', 'audio_ms') or 0) - tonumber(job.audio_seconds) * 1000
  return { jobs, integer(math.max(0, math.min(audio_ms, others))) }
end

-- A job as its owner sees it, all parts at the same moment; nil if it is completed and its transcript is kept no longer.
-- For a waiting job it needs a.lane_kinds: the kinds of lanes, the most urgent first.
local function view(job)
  local transcript = job.state == 'completed' and redis.call('GET', key('transcript', job.id))
  if job.state == 'completed' and not transcript then
    return nil
  end
  return {
    redis.call('HGETALL', key('job', job.id)),
    transcript,
    job.state == 'running' and redis.call('LRANGE', key('partial', job.id), 0, -1) or {},
    job.state == 'queued' and ahead_of(job),
    job.pieces and job.state == 'running' and redis.call('HGETALL', key('said', job.id)) or {},
  }
end

-- The job that a caller may touch; or nil and the script's answer: 'gone' for this tenant's job that is no more, else 'unknown'.
-- The list of a tenant's jobs keeps an id for longer than its record; of a job that was erased, `gone` keeps it.
-- Needs a.id and a.tenant.
local function owned()
  local job = load_job(a.id)
  if job and job.tenant == a.tenant then
    return job
  end
  local gone = not job
    and (redis.call('ZSCORE', key('jobs', a.tenant), a.id) or redis.call('GET', key('gone', a.id)) == a.tenant)
  return nil, gone and 'gone' or 'unknown'
end
