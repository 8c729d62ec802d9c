-- Give a worker the next jobs. Each leaves its lane and comes under a lease in one step: if the worker is killed, no job is lost.
--
-- A worker takes at most its share of the waiting jobs, so that one worker's full batch leaves no other worker idle, neither now
-- nor when the queue runs dry. A suspect (a job that may have ended a model process) runs alone: the next death names the culprit
-- and harms no other job. Lanes are served in their order, yet none starves.
--
-- a.lanes    the lanes that the worker serves
--   .names     RQ queue names, first served first
--   .patience  for each of them, how many jobs of other lanes may be started while it waits
--   .foreign   lanes of the other kind of worker; this worker serves such a lane while no worker of that kind is there, or while
--              the first job in the lane has waited for `spill_ms`
--   .urgent    the lane of short audio for which a caller waits; all other lanes are in the background
-- a.fleet    the other workers
--   .model         the model of all these lanes
--   .peer_devices  the devices of the workers that serve the same lanes; these workers have a share of the waiting jobs, too
--   .other_device  the device of the other kind of worker
--   .spill_ms      see `foreign`
-- a.in_hand  the jobs that the worker decodes already
--   .urgent, .background   how many jobs of each kind
--   .has_long              whether one of them is long: a worker has one long job at a time, since its samples fill memory
-- a.room     the jobs that the worker can take
--   .jobs                         how many jobs in all
--   .urgent, .background          how many jobs of each kind
--   .urgent_few, .background_few  this number of jobs of a kind is decoded at a time almost as cheaply as more would be
--   .background_seconds           how much more audio in the background, each job counted as at most one window: urgent jobs wait
--                                 until this audio is decoded
-- a.limits
--   .window_seconds  how much audio the model hears at a time
--   .long_seconds    audio above this is long
--   .inline_bytes    audio up to this size comes with the answer; the worker fetches larger audio by itself, since a script
--                    copies the values that it reads: for 96 KB this costs three times as much as a GET
--   .fetch_bytes     take no more jobs once their audio adds up to this size (the worker fetches it in one answer)
-- a.worker     the worker that gets the leases
-- a.lease_ms   how long a lease lasts unless renewed; a worker that is silent for longer is not counted among the workers
-- a.audio_ttl  seconds that the audio is kept from now on
-- a.execution  a fresh id for this claim; the same id again if the last claim got no answer
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns for each job {its hash as {field, value, ...}, its audio (nil if it is large, or gone)}; an empty list if no job waits.
-- uses: executions leases flights claim_lanes claim_turns claim_room claim_verdicts
local taken, claimed, has_long = {}, { a.execution }, a.in_hand.has_long

local function hand_out(flat)
  local audio = key('audio', field_of(flat, 'id'))
  taken[#taken + 1] = { flat, redis.call('STRLEN', audio) <= a.limits.inline_bytes and redis.call('GET', audio) }
end

-- `claimed:{worker}` keeps the last claim of each worker: its a.execution, and the ids of the jobs that it took. If the same
-- claim comes again, its answer was lost: give it again.
local last_claim = key('claimed', a.worker)
local last = cjson.decode(redis.call('GET', last_claim) or '[]')
if last[1] == a.execution then
  for i = 2, #last do
    local flat = begun_before(last[i])
    if flat then
      hand_out(flat)
    end
  end
end
if #taken > 0 then
  return taken
end

local lanes = lanes_served_now()
local room = room_of(lanes)

local function start(job)
  check_move(job, 'running')
  local fields = { state = 'running', attempt = tonumber(job.attempt) + 1, started_at_ms = integer(NOW) }
  -- A file keeps the progress of its finished pieces.
  if not job.pieces then
    fields.progress_seconds = 0
  end
  watch_deadline(job, nil, 'CH')
  redis.call('DEL', key('partial', job.id))
  hand_out(begin_execution(job, fields))
  -- Noted job by job: if a broken record ends this script, the worker asks again and gets the jobs that were started before.
  claimed[#claimed + 1] = job.id
  redis.call('SET', last_claim, cjson.encode(claimed), 'PX', math.max(1000, 10 * a.lease_ms))
end

-- Start a job and use up the room that it takes. Returns true if this claim may take no job after it.
local function take(job, lane, is_dead)
  if is_dead then
    revive(job)
    job.suspect = nil
  else
    leave_place(job)
  end
  start(job)
  lane.taken = lane.taken + 1
  has_long = has_long or is_long(job.audio_seconds)
  room.jobs, room.bytes = room.jobs - 1, room.bytes - tonumber(job.size_bytes)
  if lane.is_urgent then
    room.urgent = room.urgent - 1
  else
    room.background = room.background - 1
    room.background_seconds = room.background_seconds - counted_seconds(job.audio_seconds)
  end
  return job.suspect or room.bytes <= 0
end

local function has_room_for(lane)
  if lane.is_urgent then
    return room.jobs > 0 and room.urgent > 0
  end
  return room.jobs > 0 and room.background > 0 and not must_wait_for_room(lane, room, has_long)
end

-- Handle the job that was at the head of a lane. Returns its verdict, and whether this claim may take no more from any lane.
local function handle(id, lane)
  local job = load_job(id)
  local verdict = verdict_on(job, a.in_hand.urgent + a.in_hand.background + #taken > 0, has_long)
  if verdict == 'expire' then
    withdraw(job, 'expired')
  elseif verdict == 'drop' then
    -- If the record is gone, nothing else removes this entry.
    redis.call('ZREM', key('order', lane.name), not job and id or '')
    if job and REGISTRY[job.state] == 'failed' then
      stay_dead(job)
    end
  elseif verdict == 'start' or verdict == 'revive' then
    return verdict, take(job, lane, verdict == 'revive')
  end
  return verdict, verdict == 'stop'
end

-- Take up to `most` jobs. Returns true if this claim may take no more from any lane. It looks at 100 entries at most.
local function take_from(lane, most)
  local left, finished, before = {}, false, lane.taken
  for _ = 1, 100 do
    if finished or lane.taken - before >= most or not has_room_for(lane) then
      break
    end
    local id, verdict = redis.call('LPOP', lane.queue), nil
    if not id then
      break
    end
    verdict, finished = handle(id, lane)
    if verdict == 'skip' or verdict == 'stop' then
      left[#left + 1] = id
    end
  end
  for i = #left, 1, -1 do
    redis.call('LPUSH', lane.queue, left[i])
  end
  -- A caller waits for the jobs that are left in the urgent lane: no other job is started before them.
  local others_must_wait = lane.is_urgent and room.urgent <= 0 and redis.call('LLEN', lane.queue) > 0
  return finished or others_must_wait or room.jobs <= 0
end

-- The lanes that have been passed over come first, for one job each; then all lanes in their order.
local function serve()
  for _, lane in ipairs(lanes_in_turn(lanes)) do
    if take_from(lane, 1) then
      return
    end
  end
  for _, lane in ipairs(lanes) do
    if lane.waiting > 0 and take_from(lane, room.jobs) then
      return
    end
  end
end

-- Tokens that are left when a lane is empty would wake workers in vain.
local function hush()
  for _, lane in ipairs(lanes) do
    if lane.taken > 0 and redis.call('EXISTS', lane.queue) == 0 then
      redis.call('DEL', key('bell', lane.name))
    end
  end
end

if not must_run_dry(lanes) then
  serve()
  note_passed_over(lanes, #taken)
  hush()
end
return taken
