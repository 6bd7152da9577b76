-- What the scripts of this folder share: settings from the environment, one trial, the search for the
-- no-drop rate in the manner of RFC 2544 (section 26.1), and latency at shares of it.
-- Runs inside Pktgen-DPDK, whose functions are in the global table `pktgen`.

local lab = {}

local function number(name, default)
    local text = os.getenv(name)
    return text and (tonumber(text) or error(name .. " must be a number, and is " .. text)) or default
end

--- Everything that may be set from outside, with its default.
function lab.settings()
    return {
        send = os.getenv("SEND_PORT") or "0",       -- Pktgen's port towards the side that vxplane receives on
        receive = os.getenv("RECEIVE_PORT") or "1", -- and the other
        macs = number("MACS", 1000),                -- different destination addresses
        size = number("SIZE", 64),                  -- inner frame in bytes, without FCS
        seconds = number("SECONDS", 10),            -- of a trial
        confirm = number("CONFIRM", 60),            -- of the last trial
        loss = number("LOSS", 0),                   -- share of frames that may be lost, 0.0001 = 0.01 %
        step = number("STEP", 0.5),                 -- percent of line rate, how fine the search is
    }
end

--- One trial: sends for `seconds` at `rate` percent of line rate, waits for stragglers, and returns the
--- numbers of frames sent and received.
function lab.trial(set, rate, seconds)
    pktgen.clr()
    pktgen.set(set.send, "rate", rate)
    pktgen.delay(200)
    pktgen.start(set.send)
    pktgen.delay(seconds * 1000)
    pktgen.stop(set.send)
    pktgen.delay(2000)
    local sent = pktgen.portStats(set.send, "port")[tonumber(set.send)].opackets
    local received = pktgen.portStats(set.receive, "port")[tonumber(set.receive)].ipackets
    print(string.format("  %6.2f %% for %d s: sent %d, received %d, lost %d", rate, seconds, sent, received,
        sent - received))
    return sent, received
end

--- The greatest rate at which `trial(rate, seconds)` loses no more than `loss`. Halves the interval
--- between a rate that lost nothing and one that did until it is `step` wide, then asks for one long
--- trial. When that fails, short trials have shown too little: the search goes on below with long ones.
--- Returns a table:
---   rate       percent of line rate, 0 when frames are lost at the least rate too
---   pps        frames per second received in the long trial
---   limited    true when nothing was lost at 100 %: then the tester or the wire is the limit
function lab.search(set, trial)
    local function good(rate, seconds)
        local sent, received = trial(rate, seconds)
        return sent > 0 and sent - received <= sent * set.loss, received / seconds
    end
    local function highest(low, high, seconds)
        while high - low > set.step do
            local middle = (low + high) / 2
            if good(middle, seconds) then low = middle else high = middle end
        end
        return low
    end
    local limited = good(100, set.seconds)
    local rate = limited and 100 or highest(0, 100, set.seconds)
    if rate > 0 then
        local confirmed, pps = good(rate, set.confirm)
        if confirmed then return {rate = rate, pps = pps, limited = limited} end
        rate = highest(0, rate, set.confirm)
    end
    if rate <= 0 then return {rate = 0, pps = 0, limited = false} end
    local _, pps = good(rate, set.confirm)
    return {rate = rate, pps = pps, limited = false}
end

--- Latency by Pktgen's own stamped frames at 10, 50 and 90 % of `rate`. They must come back as they were
--- sent, hence through a pair of VTEPs. Returns a list of tables.
function lab.latency(set, rate)
    local results = {}
    for _, share in ipairs({10, 50, 90}) do
        pktgen.clr()
        pktgen.set(set.send, "rate", rate * share / 100)
        for _, port in ipairs({set.send, set.receive}) do
            pktgen.latency(port, "enable")
            pktgen.latency(port, "rate", 1000)
        end
        pktgen.delay(200)
        pktgen.start(set.send)
        pktgen.delay(set.seconds * 1000)
        local seen = pktgen.pktStats(set.receive)[tonumber(set.receive)].latency
        pktgen.stop(set.send)
        for _, port in ipairs({set.send, set.receive}) do
            pktgen.latency(port, "disable")
        end
        pktgen.delay(1000)
        table.insert(results, {share = share, frames = seen.num_pkts, min = seen.min_us, avg = seen.avg_us,
            max = seen.max_us})
    end
    return results
end

--- Says lines on the screen and at the end of the results file.
function lab.report(lines)
    local file = assert(io.open(os.getenv("RESULT") or "pktgen-results.txt", "a"))
    for _, line in ipairs(lines) do
        print(line)
        file:write(line, "\n")
    end
    file:close()
end

--- Searches with Pktgen itself, and reports.
function lab.run(name, set)
    print(string.format("%s: %d addresses, %d bytes; trials of %d s, loss up to %g", name, set.macs, set.size,
        set.seconds, set.loss))
    local found = lab.search(set, function(rate, seconds) return lab.trial(set, rate, seconds) end)
    lab.report({string.format("%s: no-drop rate %.2f %% of line rate, %.3f Mpps%s", name, found.rate,
        found.pps / 1e6, found.limited and " (the tester's limit, not vxplane's)" or "")})
    return found
end

--- Inner frames in range mode: one destination address after the other, a flow for each.
function lab.inner_frames(set)
    local port = set.send
    local function range(field, first, step, last)
        pktgen.range[field](port, "start", first)
        pktgen.range[field](port, "inc", step)
        pktgen.range[field](port, "min", first)
        pktgen.range[field](port, "max", last)
    end
    local function mac(side, host)
        return string.format("02:00:%02x:%02x:%02x:%02x", side, host >> 16 & 255, host >> 8 & 255, host & 255)
    end
    pktgen.screen("off")
    pktgen.stop(port)
    pktgen.set(port, "count", 0)
    pktgen.set_mac(port, "dst", mac(2, 0))
    pktgen.set_type(port, "ipv4")
    pktgen.set_proto(port, "udp")
    range("dst_mac", mac(2, 0), "00:00:00:00:00:01", mac(2, set.macs - 1))
    range("src_mac", mac(1, 0), "00:00:00:00:00:00", mac(1, 0))
    range("src_ip", "192.168.0.1", "0.0.0.1", "192.168.255.254")
    range("dst_ip", "192.169.0.1", "0.0.0.0", "192.169.0.1")
    range("src_port", 1024, 1, 65000)
    range("dst_port", 5001, 0, 5001)
    -- Pktgen counts the FCS.
    range("pkt_size", set.size + 4, 0, set.size + 4)
    pktgen.set_range(port, "on")
end

return lab
