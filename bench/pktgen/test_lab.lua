-- Runs the scripts against a made-up Pktgen with a made-up device behind it.
-- usage: lua5.4 bench/pktgen/test_lab.lua; the last line is `N passed, M failed`.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua"

local passed, failed = 0, 0
local function expect(what, good, seen)
    if good then passed = passed + 1 else failed = failed + 1 end
    print(string.format("%-6s %s%s", good and "ok" or "FAILED", what, good and "" or ", saw " .. tostring(seen)))
end

-- A device that forwards `capacity` percent of line rate, and less in trials longer than `tires_after`.
local device = {line_rate = 14.88e6, capacity = 100, tires_after = math.huge, tired = 1, stamped = 1000}
local state = {rate = 0, running = nil, sent = 0, received = 0, ranges = {}, latency = {}, mistakes = {}, trials = 0}
local function mistake(text) table.insert(state.mistakes, text) end

pktgen = {range = {}}
for _, field in ipairs({"dst_mac", "src_mac", "src_ip", "dst_ip", "src_port", "dst_port", "pkt_size"}) do
    pktgen.range[field] = function(_, what, value)
        state.ranges[field] = state.ranges[field] or {}
        state.ranges[field][what] = value
    end
end
for _, name in ipairs({"screen", "set_mac", "set_type", "set_proto"}) do
    pktgen[name] = function() end
end
function pktgen.set_range(port, on) state.range_mode = {port, on} end
function pktgen.pcap(port, on) state.pcap_mode = {port, on} end
function pktgen.clr()
    if state.running then mistake("cleared while sending") end
    state.sent, state.received = 0, 0
end
function pktgen.set(_, what, value)
    if what == "rate" then
        if value <= 0 or value > 100 then mistake("rate " .. value) end
        state.rate = value
    end
end
function pktgen.start(port) state.running, state.trials = port, state.trials + 1 end
function pktgen.stop() state.running = nil end
function pktgen.delay(milliseconds)
    if not state.running then return end
    local seconds = milliseconds / 1000
    local capacity = device.capacity * (seconds > device.tires_after and device.tired or 1)
    state.sent = state.sent + math.floor(device.line_rate * state.rate / 100 * seconds)
    state.received = state.received + math.floor(device.line_rate * math.min(state.rate, capacity) / 100 * seconds)
end
function pktgen.portStats(port)
    if state.running then mistake("counted while sending") end
    return {n = 1, [tonumber(port)] = {opackets = state.sent, ipackets = state.received}}
end
function pktgen.latency(port, what) state.latency[port] = what end
function pktgen.pktStats(port)
    return {n = 1, [tonumber(port)] = {latency = {num_pkts = device.stamped, min_us = 1, avg_us = state.rate, max_us = 9}}}
end

local result_file = os.tmpname()
local real_getenv, real_print = os.getenv, print
local environment = {RESULT = result_file, MACS = "70000"}
os.getenv = function(name) return environment[name] end
local function quietly(work)
    print = function() end
    local result = work()
    print = real_print
    return result
end
local function run(script, changes)
    device.capacity, device.tires_after, device.tired = 100, math.huge, 1
    for name, value in pairs(changes or {}) do device[name] = value end
    state.trials, state.mistakes, state.ranges, state.pcap_mode, state.range_mode = 0, {}, {}, nil, nil
    return quietly(function() return dofile(here .. "/" .. script) end)
end

local found = run("encap.lua", {capacity = 37.3})
expect("the no-drop rate is found from below", found.rate <= 37.3 and found.rate > 37.3 - 0.5, found.rate)
expect("in few trials", state.trials <= 12, state.trials)
expect("the rate in packets is what came", math.abs(found.pps / (device.line_rate * found.rate / 100) - 1) < 0.001, found.pps)
expect("the device is the limit", not found.limited, found.limited)
expect("Pktgen is asked in a sound order", #state.mistakes == 0, state.mistakes[1])
expect("range mode is on for the sending port", state.range_mode and state.range_mode[1] == "0" and state.range_mode[2] == "on")
expect("addresses are those of make_lab.py", state.ranges.dst_mac.start == "02:00:02:00:00:00"
    and state.ranges.dst_mac.max == "02:00:02:01:11:6f", state.ranges.dst_mac.max)
expect("the FCS is counted", state.ranges.pkt_size.start == 68, state.ranges.pkt_size.start)

found = run("decap.lua", {capacity = 200})
expect("no loss at line rate is told as the tester's limit", found.limited and found.rate == 100, found.rate)
expect("that takes two trials", state.trials == 2, state.trials)
expect("the file is replayed", state.pcap_mode and state.pcap_mode[2] == "on")

found = run("encap.lua", {capacity = 60, tires_after = 30, tired = 0.5})
expect("a rate that a long trial refutes is not reported", found.rate <= 30 and found.rate > 30 - 0.5, found.rate)
expect("a refuted search ends", state.trials < 60, state.trials)

found = run("encap.lua", {capacity = 0})
expect("a device that forwards nothing has rate 0", found.rate == 0, found.rate)

environment.LOSS = "0.01"
found = run("encap.lua", {capacity = 50})
expect("the loss that is allowed is used", found.rate > 50 and found.rate <= 50 / 0.99, found.rate)
environment.LOSS = nil

found = run("latency.lua", {capacity = 40})
local text = io.open(result_file):read("a")
local first, last = text:match("pair: at 10 %% [^\n]*avg ([%d.]+)"), text:match("pair: at 90 %% [^\n]*avg ([%d.]+)")
expect("latency is taken at shares of the no-drop rate", first and math.abs(first - found.rate / 10) < 0.01
    and math.abs(last - found.rate * 0.9) < 0.01, first)
expect("stamping is off again", state.latency["0"] == "disable" and state.latency["1"] == "disable")

environment.MACS = "many"
expect("a setting that is no number is refused", not pcall(run, "encap.lua"))
print = real_print
os.remove(result_file)
os.getenv = real_getenv
print(string.format("%d passed, %d failed", passed, failed))
os.exit(failed == 0)
