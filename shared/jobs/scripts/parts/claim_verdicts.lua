-- What to do with the job at the head of a lane.
-- uses: claim_room endings

-- 'start'   it is begun
-- 'expire'  it was not begun in time
-- 'revive'  it has ended, and an operator has requeued it with RQ's tools: nothing of ours puts a dead job into a lane
-- 'drop'    the entry stands for no job that waits
-- 'skip'    it stays, others may overtake it
-- 'stop'    it stays, and so do all behind it
--
-- `company`: the worker has other jobs, from before or from this claim. `has_long`: one of these is long.
local function verdict_on(job, company, has_long)
  local dead = job and (job.state == 'failed' or job.state == 'expired')
  if not job or not dead and job.state ~= 'queued' or dead and not has_audio_again(job) then
    return 'drop'
  end
  local deadline = not dead and redis.call('ZSCORE', PREFIX .. ':deadlines', job.id)
  if deadline and tonumber(deadline) <= NOW then
    return 'expire'
  elseif not dead and job.suspect and company then
    -- A suspect runs alone. Short jobs are soon done, and then it has the worker to itself; a long one need not be waited for.
    return has_long and 'skip' or 'stop'
  elseif has_long and is_long(job.audio_seconds) then
    return 'skip'
  end
  return dead and 'revive' or 'start'
end

-- Whether a suspect is next in any lane. A worker whose jobs are soon done takes nothing more then, whichever lane comes first.
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
