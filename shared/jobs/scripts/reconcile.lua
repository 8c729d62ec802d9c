-- Compare the jobs that should wait with RQ's lists, since RQ's tools empty queues and delete jobs without our scripts. Any
-- gateway may run this script at any time.
--
-- If a waiting job is no longer in its list, RQ's record of it decides. If that is gone, too, an operator has deleted the job or
-- emptied its queue, and the job is cancelled; else the job is put back to its place. A piece that is cancelled cancels its file.
-- A long file whose pieces are gone is cut anew.
--
-- If a dead letter is in a list, an operator has requeued it. If its audio is still there, it is revived as by a retry. If not,
-- it is taken out of the list, and RQ's tools show it among the failed jobs again.
--
-- a.most   how many jobs of a lane to look at
-- a.audio_ttl   seconds
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns {ids put back, ids cancelled, ids of files to be cut anew, ids of revived dead letters, broken records as
-- {id, error, ...}}.
-- uses: executions pieces lanes endings flights sweeping
even_when_full()
local back, canceled, cut_anew, revived = {}, {}, {}, {}
-- How many requeued dead letters of a lane one call handles at most; the next call goes on with the others.
local MOST_REQUEUED = 100

-- `behind`: the next job of the lane that is in its list, or nil.
local function settle_missing(id, lane, behind)
  local job, queue = load_job(id), RQ .. ':queue:' .. lane
  if not job or job.state ~= 'queued' or job.lane ~= lane then
    redis.call('ZREM', key('order', lane), id)
  elseif redis.call('EXISTS', RQ .. ':job:' .. id) == 0 then
    canceled[#canceled + 1] = file_of(job).id
    withdraw(job, 'canceled')
  else
    if not behind or redis.call('LINSERT', queue, 'BEFORE', behind, id) < 1 then
      redis.call('RPUSH', queue, id)
    end
    redis.call('SADD', RQ .. ':queues', queue)
    back[#back + 1] = id
  end
end

local function settle_requeued(id, lane)
  local job = load_job(id)
  if not job or REGISTRY[job.state] ~= 'failed' then
    return
  end
  redis.call('LREM', RQ .. ':queue:' .. lane, 0, id)
  if has_audio_again(job) then
    revive(job)
    enter_lane(job, false)
    revived[#revived + 1] = id
  else
    stay_dead(job)
  end
end

-- A job that our scripts have queued has a place in `order:{lane}`; a dead letter has none. RQ adds a requeued job at the end of
-- the list, so the loop begins there.
local function look_for_requeued(listed, should_wait, lane)
  local has_place, looked = {}, 0
  for _, id in ipairs(should_wait) do
    has_place[id] = true
  end
  for i = #listed, 1, -1 do
    local id = listed[i]
    if not has_place[id] and looked < MOST_REQUEUED then
      looked = looked + 1
      if not redis.call('ZSCORE', key('order', lane), id) then
        guarded(id, key('order', lane), function() settle_requeued(id, lane) end)
      end
    end
  end
end

local function look_at_lane(lane)
  local should_wait = redis.call('ZRANGE', key('order', lane), 0, a.most - 1)
  local listed = redis.call('LRANGE', RQ .. ':queue:' .. lane, 0, -1)
  look_for_requeued(listed, should_wait, lane)
  local stands = {}
  for _, id in ipairs(listed) do
    stands[id] = true
  end
  local behind
  for i = #should_wait, 1, -1 do
    local id = should_wait[i]
    -- A piece ends with its file: handling another piece of that file may have ended this one.
    if not stands[id] and redis.call('ZSCORE', key('order', lane), id) then
      guarded(id, key('order', lane), function() settle_missing(id, lane, behind) end)
      stands[id] = back[#back] == id
    end
    behind = stands[id] and id or behind
  end
end

local function look_at_file(id)
  local file = load_job(id)
  if not file or file.state ~= 'running' or not file.pieces or file.execution then
    redis.call('SREM', PREFIX .. ':split', id)
    return
  end
  local there = 0
  for number = 1, tonumber(file.pieces) do
    there = there + redis.call('EXISTS', key('job', piece_id(file, number)))
  end
  if there < tonumber(file.pieces_left) then
    note_attempt(file, 'pieces_lost', 'Pieces of the file were removed from outside; it is cut anew.')
    drop_pieces(file)
    enter_lane(file, true)
    cut_anew[#cut_anew + 1] = id
  elseif file.pieces_lane then
    hurry_pieces(file)
  end
end

-- The lanes in which jobs of this fleet have waited, and those that RQ's tools have opened for them; in alphabetical order.
local function known_lanes()
  local lanes, seen, of_rq = {}, {}, RQ .. ':queue:'
  local function add(lane)
    if not seen[lane] then
      seen[lane], lanes[#lanes + 1] = true, lane
    end
  end
  for _, field in ipairs(redis.call('HKEYS', PREFIX .. ':load')) do
    local lane = string.match(field, '^through:(.*)$')
    if lane then
      add(lane)
    end
  end
  for _, queue in ipairs(redis.call('SMEMBERS', RQ .. ':queues')) do
    local lane = string.sub(queue, #of_rq + 1)
    if string.sub(lane, 1, #PREFIX + 1) == PREFIX .. '.' then
      add(lane)
    end
  end
  table.sort(lanes)
  return lanes
end

for _, lane in ipairs(known_lanes()) do
  look_at_lane(lane)
end
for _, id in ipairs(redis.call('SMEMBERS', PREFIX .. ':split')) do
  guarded(id, PREFIX .. ':split', function() look_at_file(id) end)
end

-- This is asked at the end: the repairs above may have put jobs into a lane that was empty, or that was never used.
local function any_waits()
  for _, lane in ipairs(known_lanes()) do
    if redis.call('EXISTS', key('order', lane)) == 1 then
      return true
    end
  end
  return false
end

-- If an operator removes a record, its bytes and its audio stay in `load`. When no job waits, `load` is set to zero.
if not any_waits() and tonumber(redis.call('HGET', PREFIX .. ':load', 'jobs') or 0) ~= 0 then
  redis.call('HSET', PREFIX .. ':load', 'jobs', 0, 'bytes', 0, 'audio_ms', 0)
end
return { back, canceled, cut_anew, revived, broken }
