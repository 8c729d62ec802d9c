-- Read a job as its owner sees it, all parts at the same moment.
--
-- a.id, a.tenant   the job, and the tenant who asks
-- a.lane_kinds     the kinds of lanes, the most urgent first
--
-- Returns 'unknown' (also for another tenant's job), 'gone', or {its hash as {field, value, ...}, its transcript (JSON; nil while
-- it has none), its segments so far, {jobs, milliseconds of audio} that are started before it (nil unless it waits), and the
-- finished pieces of a long file as {'from-to' (ms), text, ...}}.
-- uses: access

local job, refusal = owned()
if not job then
  return refusal
end
return view(job) or 'gone'
