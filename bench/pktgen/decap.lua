-- The no-drop rate of decapsulation: tunnel packets replayed from the decap.pcap that make_lab.py wrote,
-- given to Pktgen with `-s PORT:decap.pcap`. Pktgen's own VXLAN mode is not used: it writes no inner
-- frame. vxplane runs with decap.yaml.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local lab = require("lab")

local set = lab.settings()
pktgen.screen("off")
pktgen.stop(set.send)
pktgen.set(set.send, "count", 0)
pktgen.pcap(set.send, "on")
return lab.run("decap", set)
