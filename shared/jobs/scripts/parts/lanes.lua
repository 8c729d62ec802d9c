-- How jobs enter and leave their lanes, and the keys that change with it: load, order, deadlines, bells.
-- uses: prelude

-- Count how much waits in the lanes, for backpressure and ETA. Called exactly when a job enters (1) or leaves (-1) a lane.
-- Returns the audio (ms) that had entered the lane before the job, if it enters at the end.
local function weigh(job, sign, at_front)
  local load, through = PREFIX .. ':load', 'through:' .. job.lane
  local before = redis.call('HMGET', load, 'jobs', 'bytes', 'audio_ms', through)
  local audio_ms = math.floor(tonumber(job.audio_seconds) * 1000)
  local entered = tonumber(before[4] or 0)
  local fields = {
    jobs = integer((before[1] or 0) + sign),
    bytes = integer((before[2] or 0) + sign * tonumber(job.size_bytes)),
    audio_ms = integer((before[3] or 0) + sign * audio_ms),
  }
  if sign > 0 and not at_front then
    fields[through] = integer(entered + audio_ms)
  end
  hset(load, fields)
  return entered
end

-- Set the deadline of a job: `at` (ms), or the time by which it must have ended if that is sooner. With neither, it has none.
local function watch_deadline(job, at, flag)
  local ends_at = tonumber(job.ends_by_ms)
  at = at and ends_at and math.min(at, ends_at) or at or ends_at
  if at then
    redis.call('ZADD', PREFIX .. ':deadlines', flag, integer(at), job.id)
  else
    redis.call('ZREM', PREFIX .. ':deadlines', job.id)
  end
end

-- Count the job, and keep the lane's order in a sorted set, too, so that a job's place can be read. Members are ids; a score is
-- the audio (ms) that entered the lane before this job. So a rank is how many jobs come first, and a difference of scores is how
-- much audio.
local function take_place(job, at_front)
  local order = key('order', job.lane)
  local first = at_front and redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]
  local entered = weigh(job, 1, first)
  if first then
    entered = tonumber(first) - math.floor(tonumber(job.audio_seconds) * 1000)
  end
  redis.call('ZADD', order, entered, job.id)
end

-- Wake an idle worker, if one listens to the lane's bell: then the bell's list is empty, since each listener takes a token.
-- Tokens that no worker takes are no more than the jobs that wait, and a hundred at most. `waiting`: how many jobs wait.
local function ring(lane, waiting)
  local bell = key('bell', lane)
  if redis.call('LLEN', bell) < math.min(waiting, 100) and redis.call('LPUSH', bell, 1) == 1 then
    redis.call('EXPIRE', bell, 60)
  end
end

-- Put a job into its lane. `is_new`: its record, and RQ's, say already that it is queued.
local function enter_lane(job, at_front, is_new)
  if not is_new then
    check_move(job, 'queued')
    hset(key('job', job.id), { state = 'queued', queued_at_ms = integer(NOW) })
    if job.leader then
      redis.call('HDEL', key('job', job.id), 'leader')
    end
    tell_rq(job.id, { status = 'queued', enqueued_at = NOW_ISO, origin = job.lane })
  end
  redis.call('SADD', RQ .. ':queues', RQ .. ':queue:' .. job.lane)
  local waiting = redis.call(at_front and 'LPUSH' or 'RPUSH', RQ .. ':queue:' .. job.lane, job.id)
  take_place(job, at_front)
  -- Every waiting job has a deadline: also a job that was handed back to a lane that no worker serves any more.
  watch_deadline(job, NOW + tonumber(job.start_deadline_ms), 'LT')
  ring(job.lane, waiting)
end

-- Count that a job has left its lane's list, and remove its place.
local function leave_place(job)
  redis.call('ZREM', key('order', job.lane), job.id)
  weigh(job, -1)
end

-- Take a job out of its lane, at any place. `load` still counts it, even if RQ's tools have removed it from the list.
local function leave_lane(job)
  redis.call('LREM', RQ .. ':queue:' .. job.lane, 1, job.id)
  leave_place(job)
end
