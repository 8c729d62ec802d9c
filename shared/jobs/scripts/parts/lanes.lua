-- How jobs enter and leave their lanes, and the keys that change with it: load, order, deadlines, bells.
-- uses: prelude

-- Count how much waits in the lanes, for backpressure and ETA. Called exactly when a job enters (1) or leaves (-1) a lane.
local function weigh(job, sign)
  local load = PREFIX .. ':load'
  if sign < 0 then
    redis.call('ZREM', key('order', job.lane), job.id)
  end
  redis.call('HINCRBY', load, 'jobs', sign)
  redis.call('HINCRBY', load, 'bytes', sign * tonumber(job.size_bytes))
  redis.call('HINCRBY', load, 'audio_ms', integer(sign * math.floor(tonumber(job.audio_seconds) * 1000)))
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

-- Keep the lane's order in a sorted set, too, so that a job's place can be read. Members are ids; a score is the audio (ms) that
-- entered the lane before this job. So a rank is how many jobs come first, and a difference of scores is how much audio.
local function take_place(job, at_front)
  local order, audio_ms = key('order', job.lane), math.floor(tonumber(job.audio_seconds) * 1000)
  local first = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]
  local score
  if at_front and first then
    score = tonumber(first) - audio_ms
  else
    score = redis.call('HINCRBY', PREFIX .. ':load', 'through:' .. job.lane, audio_ms) - audio_ms
  end
  redis.call('ZADD', order, score, job.id)
end

local function enter_lane(job, at_front)
  check_move(job, 'queued')
  hset(key('job', job.id), { state = 'queued', queued_at_ms = integer(NOW) })
  redis.call('HDEL', key('job', job.id), 'token', 'leader')
  tell_rq(job.id, { status = 'queued', enqueued_at = NOW_ISO, origin = job.lane })
  redis.call('SADD', RQ .. ':queues', RQ .. ':queue:' .. job.lane)
  redis.call(at_front and 'LPUSH' or 'RPUSH', RQ .. ':queue:' .. job.lane, job.id)
  weigh(job, 1)
  take_place(job, at_front)
  -- Every waiting job has a deadline: also a job that was handed back to a lane that no worker serves any more.
  watch_deadline(job, NOW + tonumber(job.start_deadline_ms), 'LT')
  -- One token wakes one idle worker. Lost tokens cost at most the worker's idle timeout; a hundred are enough.
  local bell = key('bell', job.lane)
  redis.call('LPUSH', bell, 1)
  redis.call('LTRIM', bell, 0, 99)
  redis.call('EXPIRE', bell, 60)
end

-- Take a job out of its lane, at any place. `load` still counts it, even if RQ's tools have removed it from the list.
local function leave_lane(job)
  redis.call('LREM', RQ .. ':queue:' .. job.lane, 1, job.id)
  weigh(job, -1)
end
