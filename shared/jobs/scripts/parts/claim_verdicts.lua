-- What to do with the job at the head of a lane.
-- uses: claim_room endings

-- 'start'   start the job
-- 'expire'  the job was not started in time
-- 'revive'  the job has ended, and an operator has requeued it with RQ's tools: no script of ours puts an ended job into a lane
-- 'drop'    the entry is not a waiting job
-- 'skip'    the job stays, and jobs behind it may overtake it
-- 'stop'    the job stays, and so do all jobs behind it
--
-- `company`: whether the worker has other jobs, from before or from this claim. `has_long`: whether one of these is long.
local function verdict_on(job, company, has_long)
  local dead = job and (job.state == 'failed' or job.state == 'expired')
  if not job or not dead and job.state ~= 'queued' or dead and not has_audio_again(job) then
    return 'drop'
  end
  local deadline = not dead and redis.call('ZSCORE', PREFIX .. ':deadlines', job.id)
  if deadline and tonumber(deadline) <= NOW then
    return 'expire'
  elseif not dead and job.suspect and company then
    -- A suspect runs alone. Beside short jobs it waits: they are soon done. Beside a long job it is skipped: that takes too long.
    return has_long and 'skip' or 'stop'
  elseif has_long and is_long(job.audio_seconds) then
    return 'skip'
  end
  return dead and 'revive' or 'start'
end

-- Whether the worker takes nothing now, since a suspect is next in any of its lanes: its jobs are soon done, and then the suspect
-- can run alone. Not if the worker has a long job, or no job at all.
local function must_run_dry(lanes)
  if a.in_hand.urgent + a.in_hand.background == 0 or a.in_hand.has_long then
    return false
  end
  for _, lane in ipairs(lanes) do
    local id = redis.call('LINDEX', lane.queue, 0)
    if id and redis.call('HEXISTS', key('job', id), 'suspect') == 1 then
      return true
    end
  end
  return false
end
