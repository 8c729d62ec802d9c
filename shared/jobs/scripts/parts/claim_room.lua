-- How much a claiming worker takes: what fits beside the jobs that it has, and no more than its share of the waiting jobs.
-- uses: claim_lanes
-- Needs a.in_hand, a.room and a.limits as in claim.lua.

-- The worker's share of the urgent lane, or of the other lanes: how many more jobs it may take. It may always have a few jobs, if
-- each idle worker gets some, too. It may have more only up to its part of the jobs that it has or that wait, since the other
-- workers will soon be idle (guided self-scheduling: Polychronopoulos and Kuck, 1987).
local function share_of(lanes, peers, urgent, in_hand, few)
  local jobs = 0
  for _, lane in ipairs(lanes) do
    jobs = jobs + (lane.is_urgent == urgent and lane.waiting or 0)
  end
  return math.max(math.min(math.ceil(jobs / peers), few - in_hand), math.ceil((jobs + in_hand) / peers) - in_hand)
end

-- The room of the worker; `take` in claim.lua uses it up.
local function room_of(lanes)
  local peers, hand, room = count_peers(), a.in_hand, a.room
  return {
    jobs = room.jobs,
    urgent = math.min(room.urgent, share_of(lanes, peers, true, hand.urgent, room.urgent_few)),
    background = math.min(room.background, share_of(lanes, peers, false, hand.background, room.background_few)),
    background_seconds = room.background_seconds,
    bytes = a.limits.fetch_bytes,
  }
end

-- A model hears a window at a time, so longer audio takes no more room than a window does.
local function counted_seconds(audio_seconds)
  return math.min(tonumber(audio_seconds), a.limits.window_seconds)
end

local function is_long(audio_seconds)
  return tonumber(audio_seconds) > a.limits.long_seconds
end

-- Whether the next job of a background lane must wait until the worker has more room. If so, all room is kept for this job: else
-- small jobs of another lane would take each bit of room as it comes free. A long job that meets a long one is skipped instead.
local function must_wait_for_room(lane, room, has_long)
  local id = redis.call('LINDEX', lane.queue, 0)
  local seconds = id and redis.call('HGET', key('job', id), 'audio_seconds')
  if not seconds or counted_seconds(seconds) <= room.background_seconds or has_long and is_long(seconds) then
    return false
  end
  room.background_seconds = 0
  return true
end
