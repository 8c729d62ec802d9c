-- Give a worker the next jobs: out of their lane and under a lease in one step, so that no killed worker takes one along.
--
-- Not more than its share of what waits, so that one worker's full batch leaves no other idle: neither now nor when the queue
-- runs dry. A suspect (a job that may have ended a model process) runs alone, so that the next death names the culprit and
-- nobody suffers with it.
--
-- Lanes are served in their order, yet none starves: one that has been passed over so many times gets the next turn.
--
-- a.lanes         RQ queue names, first served first
-- a.patience      for each lane, how many jobs of other lanes may be started while it waits
-- a.model         the model that all of these lanes are for
-- a.peer_devices  what those run on who serve the same lanes; they have a share of what waits, too
-- a.foreign       those of the lanes that belong to the other kind of worker; served while nobody of that kind is there, or
--                 while the first job in it has waited for `spill_ms`
-- a.other_device  what that kind runs on
-- a.spill_ms      see above
-- a.urgent_lane   the lane of short audio that somebody waits for; all others are in the background
-- a.urgent_in_hand, a.background_in_hand   how many jobs of each kind the worker decodes already
-- a.urgent_room, a.background_room   how many more it may have
-- a.urgent_few, a.background_few   so many at a time are decoded almost as cheaply as more
-- a.background_seconds   how much more audio in the background, each job counted as `window_seconds` at most: urgent jobs wait
--                 for it
-- a.window_seconds      what the model hears at a time
-- a.worker        the claiming worker's name
-- a.execution     a fresh id for RQ's execution record; the same again when the last claim got no answer
-- a.room          how many jobs the worker can take
-- a.has_long      whether one of those in hand is long; a worker has one long job at a time, since its samples fill memory
-- a.long_seconds  what is long
-- a.inline_bytes  audio up to this size comes with the answer; larger is fetched by itself, since a script copies what it touches
-- a.max_bytes     no more is taken once so many bytes of audio are (the worker fetches them in one answer)
-- a.lease_ms      how long the lease lasts unless renewed; a worker that is silent for so long is not counted on
-- a.audio_ttl     seconds that the audio must outlast
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns for each job {its hash as {field, value, ...}, its audio (nil if it is large, or gone)}; none when nothing waits.
local taken = {}

local function hand_out(id, flat)
  local audio = key('audio', id)
  taken[#taken + 1] = { flat, redis.call('STRLEN', audio) <= a.inline_bytes and redis.call('GET', audio) }
end

local function start(job)
  check_move(job, 'running')
  local fields = { state = 'running', attempt = tonumber(job.attempt) + 1, started_at_ms = integer(NOW) }
  -- What the pieces of a file have come to still counts.
  if not job.pieces then
    fields.progress_seconds = 0
  end
  hset(key('job', job.id), fields)
  watch_deadline(job, nil, 'CH')
  redis.call('DEL', key('partial', job.id))
  hand_out(job.id, begin_execution(job))
end

-- The answer to an earlier claim was lost on its way: give it again.
for _, member in ipairs(redis.call('SMEMBERS', RQ .. ':worker:' .. a.worker .. ':executions')) do
  local id, execution = string.match(member, '^(.*):([^:]*)$')
  if execution == a.execution then
    hand_out(id, redis.call('HGETALL', key('job', id)))
  end
end
if #taken > 0 then
  return taken
end

local function ready_workers_on(device)
  return redis.call('ZCOUNT', key('workers', device .. ':' .. a.model), NOW - a.lease_ms, '+inf')
end

local function needs_help(lane)
  if ready_workers_on(a.other_device) == 0 then
    return true
  end
  local first = redis.call('LINDEX', RQ .. ':queue:' .. lane, 0)
  local since = first and redis.call('HGET', key('job', first), 'queued_at_ms')
  return since and NOW - since > a.spill_ms
end

-- The lanes that this worker serves now, and their patience.
local function served_lanes()
  local foreign, lanes, patience = {}, {}, {}
  for _, lane in ipairs(a.foreign) do
    foreign[lane] = true
  end
  for i, lane in ipairs(a.lanes) do
    if not foreign[lane] or needs_help(lane) then
      lanes[#lanes + 1], patience[#patience + 1] = lane, a.patience[i]
    end
  end
  return lanes, patience
end

local lanes, patience = served_lanes()

-- Who serves these lanes: this worker, and all like it.
local peers = 0
for _, device in ipairs(a.peer_devices) do
  peers = peers + ready_workers_on(device)
end
peers = math.max(1, peers)

-- By lane: how many jobs wait there at first, and how often it was passed over while some did.
local waiting, passed_over = {}, {}
for _, lane in ipairs(lanes) do
  waiting[lane] = redis.call('LLEN', RQ .. ':queue:' .. lane)
  passed_over[lane] = redis.call('HGET', PREFIX .. ':load', 'passed:' .. lane)
end

local function is_urgent(lane)
  return lane == a.urgent_lane
end

-- The worker's share of the urgent lane, or of the others. A few it may always have, if no idle worker goes without; more only
-- as long as what it then holds is no more than its part of all that it holds or that waits, for the others will soon be idle
-- (guided self-scheduling: Polychronopoulos and Kuck, 1987).
local function share_of(urgent, in_hand, few)
  local jobs = 0
  for _, lane in ipairs(lanes) do
    jobs = jobs + (is_urgent(lane) == urgent and waiting[lane] or 0)
  end
  return math.max(math.min(math.ceil(jobs / peers), few - in_hand), math.ceil((jobs + in_hand) / peers) - in_hand)
end

local busy = a.urgent_in_hand + a.background_in_hand > 0
local has_long, bytes = a.has_long, 0
local urgent_room = math.min(a.urgent_room, share_of(true, a.urgent_in_hand, a.urgent_few))
local background_room = math.min(a.background_room, share_of(false, a.background_in_hand, a.background_few))
local background_seconds = a.background_seconds

local function counted_seconds(audio_seconds)
  return math.min(tonumber(audio_seconds), a.window_seconds)
end

-- Whether a lane's next job has to wait until the worker has more room for it. What room there is is kept for it then: else
-- small jobs of another lane would take each bit of it as it comes free. Not for a long one beside a long one: it is skipped.
local function must_wait_for_room(lane)
  local id = redis.call('LINDEX', RQ .. ':queue:' .. lane, 0)
  local seconds = id and redis.call('HGET', key('job', id), 'audio_seconds')
  if not seconds or counted_seconds(seconds) <= background_seconds or has_long and tonumber(seconds) > a.long_seconds then
    return false
  end
  background_seconds = 0
  return true
end

-- What to do with the entry at the head of a lane: 'start', 'expire', 'revive', 'drop' (it stands for no waiting job),
-- 'skip' (it stays, others may overtake it) or 'stop' (it stays, and so do all behind it).
local function verdict_on(job)
  -- Nothing of ours puts a dead job into a lane: an operator requeued it with RQ's tools.
  local dead = job and (job.state == 'failed' or job.state == 'expired')
  if not job or not dead and job.state ~= 'queued' or dead and not has_audio_again(job) then
    return 'drop'
  end
  local deadline = not dead and redis.call('ZSCORE', PREFIX .. ':deadlines', job.id)
  if deadline and tonumber(deadline) <= NOW then
    return 'expire'
  elseif not dead and job.suspect and (busy or #taken > 0) then
    -- Jobs in hand are soon done, and then it has the worker to itself; beside a long one the others need not wait.
    return has_long and 'skip' or 'stop'
  elseif has_long and tonumber(job.audio_seconds) > a.long_seconds then
    return 'skip'
  end
  return dead and 'revive' or 'start'
end

-- Takes up to `most` jobs. True when nothing more is to be taken from any lane. Bounded, whatever the lane holds.
local function take_from(lane, most)
  local queue, left, finished, before = RQ .. ':queue:' .. lane, {}, false, #taken
  local background = not is_urgent(lane)
  most = math.min(most, a.room - before, background and background_room or urgent_room)
  for _ = 1, 100 do
    if #taken - before >= most or finished or background and must_wait_for_room(lane) then
      break
    end
    local id = redis.call('LPOP', queue)
    if not id then
      break
    end
    local job = load_job(id)
    local verdict = verdict_on(job)
    if verdict == 'skip' or verdict == 'stop' then
      left[#left + 1], finished = id, verdict == 'stop'
    elseif verdict == 'expire' then
      withdraw(job, 'expired')
    elseif verdict == 'drop' then
      -- Of a record that is gone nothing else would take it out.
      redis.call('ZREM', key('order', lane), not job and id or '')
      if job and REGISTRY[job.state] == 'failed' then
        stay_dead(job)
      end
    else
      if verdict == 'revive' then
        revive(job)
        job.suspect = nil
      else
        weigh(job, -1)
      end
      start(job)
      has_long = has_long or tonumber(job.audio_seconds) > a.long_seconds
      bytes = bytes + tonumber(job.size_bytes)
      background_seconds = background_seconds - (background and counted_seconds(job.audio_seconds) or 0)
      finished = job.suspect or bytes >= a.max_bytes
    end
  end
  for i = #left, 1, -1 do
    redis.call('LPUSH', queue, left[i])
  end
  if background then
    background_room = background_room - (#taken - before)
  else
    urgent_room = urgent_room - (#taken - before)
    -- Somebody waits for what is left here: nothing else is begun before it.
    finished = finished or urgent_room <= 0 and redis.call('LLEN', queue) > 0
  end
  return finished or #taken >= a.room
end

-- The lanes that have been passed over often enough, the one with most reason to complain first.
local function lanes_in_turn()
  local due = {}
  for i, lane in ipairs(lanes) do
    local passed = tonumber(passed_over[lane] or 0)
    if passed >= patience[i] then
      due[#due + 1] = { lane = lane, reason = passed / patience[i] }
    end
  end
  table.sort(due, function(one, other)
    return one.reason > other.reason
  end)
  return due
end

-- Their turn comes first, for one job each. True when nothing more is to be taken.
local function serve_the_passed_over()
  for _, due in ipairs(lanes_in_turn()) do
    if take_from(due.lane, 1) then
      return true
    end
  end
  return false
end

-- How often a lane that still waits has now been passed over.
local function remember_who_waits(counts)
  for _, lane in ipairs(lanes) do
    local served = counts[lane] or 0
    if served > 0 or waiting[lane] == 0 then
      if passed_over[lane] then
        redis.call('HDEL', PREFIX .. ':load', 'passed:' .. lane)
      end
    elseif #taken > 0 then
      redis.call('HINCRBY', PREFIX .. ':load', 'passed:' .. lane, #taken)
    end
  end
end

-- How many of the jobs that were taken come from each lane.
local function count_by_lane()
  local counts = {}
  for _, one in ipairs(taken) do
    local flat = one[1]
    for i = 1, #flat, 2 do
      if flat[i] == 'lane' then
        counts[flat[i + 1]] = (counts[flat[i + 1]] or 0) + 1
      end
    end
  end
  return counts
end

-- A suspect at the head of any lane: a worker that is soon done takes nothing more, whichever lane comes first.
local function must_run_dry()
  for _, lane in ipairs(lanes) do
    local id = busy and not a.has_long and redis.call('LINDEX', RQ .. ':queue:' .. lane, 0)
    if id and redis.call('HEXISTS', key('job', id), 'suspect') == 1 then
      return true
    end
  end
  return false
end

if must_run_dry() then
  return taken
end
if not serve_the_passed_over() then
  for _, lane in ipairs(lanes) do
    if waiting[lane] > 0 and take_from(lane, a.room) then
      break
    end
  end
end
remember_who_waits(count_by_lane())
return taken
