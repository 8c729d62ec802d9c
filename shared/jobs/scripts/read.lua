-- A job as its owner sees it, all of one moment.
--
-- a.id, a.tenant   the job and who asks
-- a.lane_kinds     the kinds of lanes, the most urgent first
--
-- Returns 'unknown' (or somebody else's), 'gone', or {its hash as {field, value, ...}, its transcript (JSON; nil while it
-- has none), its segments so far, {jobs, milliseconds of audio} that come before it (nil unless it waits), and the pieces of
-- a long file that are done, as {'from-to' (ms), text, ...}}.
-- uses: access

local job, refusal = owned()
if not job then
  return refusal
end
return view(job) or 'gone'
