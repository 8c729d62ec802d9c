-- The lanes that a claiming worker serves now, and how many jobs wait in each.
-- uses: prelude
-- Needs a.lanes, a.fleet and a.lease_ms as in claim.lua.

local function ready_workers_on(device)
  return redis.call('ZCOUNT', key('workers', device .. ':' .. a.fleet.model), NOW - a.lease_ms, '+inf')
end

-- Whether this worker may serve a lane of the other kind of worker: no worker of that kind is there, or the lane's first job has
-- waited too long.
local function needs_help(name)
  if ready_workers_on(a.fleet.other_device) == 0 then
    return true
  end
  local first = redis.call('LINDEX', RQ .. ':queue:' .. name, 0)
  local since = first and redis.call('HGET', key('job', first), 'queued_at_ms')
  return since and NOW - since > a.fleet.spill_ms
end

-- `waiting`: how many jobs wait in the lane; `passed_over`: how many jobs of other lanes were started meanwhile, nil for none;
-- `taken`: how many jobs this claim has taken from the lane.
local function lane_called(name, patience, passed_over)
  return {
    name = name,
    queue = RQ .. ':queue:' .. name,
    patience = patience,
    is_urgent = name == a.lanes.urgent,
    waiting = redis.call('LLEN', RQ .. ':queue:' .. name),
    passed_over = tonumber(passed_over or nil),
    taken = 0,
  }
end

-- The lanes that this worker serves now, in the order in which it serves them.
local function lanes_served_now()
  local foreign, lanes, counters = {}, {}, {}
  for _, name in ipairs(a.lanes.foreign) do
    foreign[name] = true
  end
  for i, name in ipairs(a.lanes.names) do
    counters[i] = 'passed:' .. name
  end
  local passed_over = redis.call('HMGET', PREFIX .. ':load', unpack(counters))
  for i, name in ipairs(a.lanes.names) do
    if not foreign[name] or needs_help(name) then
      lanes[#lanes + 1] = lane_called(name, a.lanes.patience[i], passed_over[i])
    end
  end
  return lanes
end

-- How many workers serve the same lanes as this worker, itself included.
local function count_peers()
  local peers = 0
  for _, device in ipairs(a.fleet.peer_devices) do
    peers = peers + ready_workers_on(device)
  end
  return math.max(1, peers)
end
