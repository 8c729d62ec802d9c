-- No lane starves: a lane that has been passed over as often as its patience allows gets the next turn.
-- uses: claim_lanes

-- The lanes whose turn it is. The first is the lane that has waited longest, measured by its own patience.
local function lanes_in_turn(lanes)
  local due = {}
  for _, lane in ipairs(lanes) do
    if (lane.passed_over or 0) >= lane.patience then
      due[#due + 1] = lane
    end
  end
  table.sort(due, function(one, other)
    return (one.passed_over or 0) / one.patience > (other.passed_over or 0) / other.patience
  end)
  return due
end

-- Note for each lane with waiting jobs how many jobs of other lanes were started meanwhile. A lane that was served starts anew.
local function note_passed_over(lanes, started)
  for _, lane in ipairs(lanes) do
    if lane.taken > 0 or lane.waiting == 0 then
      if lane.passed_over then
        redis.call('HDEL', PREFIX .. ':load', 'passed:' .. lane.name)
      end
    elseif started > 0 then
      redis.call('HINCRBY', PREFIX .. ':load', 'passed:' .. lane.name, started)
    end
  end
end
