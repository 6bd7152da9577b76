-- The no-drop rate, and latency at 10, 50 and 90 % of it, through a pair of VTEPs: one encapsulates, the
-- other strips, so that Pktgen's stamps come back where it looks for them. vxplane runs twice, with
-- pair-a.yaml and pair-b.yaml, uplink to uplink.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local lab = require("lab")

local set = lab.settings()
lab.inner_frames(set)
local found = lab.run("pair", set)
local lines = {}
if found.rate > 0 then
    for _, one in ipairs(lab.latency(set, found.rate)) do
        table.insert(lines, string.format(
            "pair: at %d %% of the no-drop rate, %d stamped frames: min %.2f us, avg %.2f us, max %.2f us",
            one.share, one.frames, one.min, one.avg, one.max))
    end
end
lab.report(lines)
return found
