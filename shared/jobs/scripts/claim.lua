-- Give a worker the next jobs: out of their lane and under a lease in one step, so that no killed worker takes one along.
--
-- Not more than its share of what waits, so that one worker's full batch leaves no other idle: neither now nor when the queue
-- runs dry. A suspect (a job that may have ended a model process) runs alone, so that the next death names the culprit and
-- nobody suffers with it. Lanes are served in their order, yet none starves.
--
-- a.lanes    the lanes that the worker serves
--   .names     RQ queue names, first served first
--   .patience  for each of them, how many jobs of other lanes may be started while it waits
--   .foreign   those that belong to the other kind of worker; served while nobody of that kind is there, or while the first job
--              in it has waited for `spill_ms`
--   .urgent    the lane of short audio that somebody waits for; all others are in the background
-- a.fleet    what else serves them
--   .model         the model that all of these lanes are for
--   .peer_devices  the devices of the workers that serve the same lanes; they have a share of what waits, too
--   .other_device  the device of the other kind of worker
--   .spill_ms      see `foreign`
-- a.in_hand  what the worker decodes already
--   .urgent, .background   how many jobs of each kind
--   .has_long              one of them is long: a worker has one long job at a time, since its samples fill memory
-- a.room     what it can take
--   .jobs                         how many jobs in all
--   .urgent, .background          how many of each kind
--   .urgent_few, .background_few  so many of each kind at a time are decoded almost as cheaply as more
--   .background_seconds           how much more audio in the background, each job counted as a window at most: urgent jobs wait
--                                 for it
-- a.limits
--   .window_seconds  how much audio the model hears at a time
--   .long_seconds    audio above this is long
--   .inline_bytes    audio up to this size comes with the answer; larger is fetched by itself, since a script copies what it touches
--   .fetch_bytes     no more is taken once so many bytes of audio are (the worker fetches them in one answer)
-- a.worker, a.lease_ms, a.audio_ttl   the lease: whose, how long unless renewed, and the seconds that the audio must outlast. A
--                                     worker that is silent for `lease_ms` is not counted on
-- a.execution                         a fresh id for RQ's execution record; the same again when the last claim got no answer
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns for each job {its hash as {field, value, ...}, its audio (nil if it is large, or gone)}; none when nothing waits.
-- uses: executions leases flights claim_lanes claim_turns claim_room claim_verdicts
local taken, has_long = {}, a.in_hand.has_long

local function hand_out(flat)
  local audio = key('audio', field_of(flat, 'id'))
  taken[#taken + 1] = { flat, redis.call('STRLEN', audio) <= a.limits.inline_bytes and redis.call('GET', audio) }
end

-- The answer to an earlier claim was lost on its way: give it again.
for _, flat in ipairs(begun_before()) do
  hand_out(flat)
end
if #taken > 0 then
  return taken
end

local lanes = lanes_served_now()
local room = room_of(lanes)

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
  hand_out(begin_execution(job))
end

-- Start a job and use up the room that it takes. True when nothing may join it.
local function take(job, lane, is_dead)
  if is_dead then
    revive(job)
    job.suspect = nil
  else
    weigh(job, -1)
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

-- What becomes of the job that was at the head of a lane. Its verdict, and whether nothing more is to be taken from any lane.
local function handle(id, lane)
  local job = load_job(id)
  local verdict = verdict_on(job, a.in_hand.urgent + a.in_hand.background + #taken > 0, has_long)
  if verdict == 'expire' then
    withdraw(job, 'expired')
  elseif verdict == 'drop' then
    -- Of a record that is gone nothing else would take it out.
    redis.call('ZREM', key('order', lane.name), not job and id or '')
    if job and REGISTRY[job.state] == 'failed' then
      stay_dead(job)
    end
  elseif verdict == 'start' or verdict == 'revive' then
    return verdict, take(job, lane, verdict == 'revive')
  end
  return verdict, verdict == 'stop'
end

-- Takes up to `most` jobs. True when nothing more is to be taken from any lane. Bounded, whatever the lane holds.
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
  -- Somebody waits for what is left in the urgent lane: nothing else is begun before it.
  local others_must_wait = lane.is_urgent and room.urgent <= 0 and redis.call('LLEN', lane.queue) > 0
  return finished or others_must_wait or room.jobs <= 0
end

-- The lanes that have been passed over come first, for one job each; then all in their order.
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

if not must_run_dry(lanes) then
  serve()
  note_passed_over(lanes, #taken)
end
return taken
