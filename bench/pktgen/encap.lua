-- The no-drop rate of encapsulation: inner frames in Pktgen's range mode. vxplane runs with the
-- encap.yaml that make_lab.py wrote.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local lab = require("lab")

local set = lab.settings()
lab.inner_frames(set)
return lab.run("encap", set)
