-- wrk: reads of contacts, as four apps with a key and an HTTP client each make them.
--
-- arguments: ORDER CONTACTS NUMBER KEY KEY KEY KEY [PAUSE] (the keys may be the same)
--   ORDER  all       every contact with every key, one after the other from the NUMBER-th on, and then again; replies
--                    other than 200 are counted
--          uniform   contacts at random, all alike; NUMBER is the seed
--          zipf      contacts at random, the n-th as likely as 1/n; NUMBER is the seed
--   PAUSE  milliseconds before each request of a connection, for a steady load; none: as many as go
--
-- No two requests have the same bytes: each has its own X-Request-Id.

-- What the clients send besides Host, the key and the id of the request. A browser's fetch is of the same origin.
local clients = {
    -- Python requests
    "User-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
        .. "Connection: keep-alive\r\n",
    -- Python httpx
    "Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n"
        .. "User-Agent: python-httpx/0.28.1\r\n"
        .. "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    -- axios in Node.js
    "Accept: application/json, text/plain, */*\r\nUser-Agent: axios/1.7.9\r\n"
        .. "Accept-Encoding: gzip, compress, deflate, br\r\nConnection: keep-alive\r\n"
        .. "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: vendor=1\r\n",
    -- Chromium
    'Connection: keep-alive\r\nsec-ch-ua-platform: "Linux"\r\n'
        .. "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        .. "Chrome/131.0.0.0 Safari/537.36\r\n"
        .. 'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nAccept: */*\r\n'
        .. "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
        .. "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n",
}
-- Prepared before the clock starts: enough that no pattern matters, and little enough to stay in the caches.
local PICKS = 65536

local paths, middles, picks = {}, {}, {}
-- One for each key, for reading everything once.
local distinct = {}
local isInOrder = false
local counter = 0
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

local function contact(number)
    -- Spread over the whole range, as identifiers are.
    return string.format("%08x-0000-4000-8000-%012x", (number * 2654435761) % 0x100000000, number)
end

-- The number of the contact at which the running sum of the weights passes a share of the whole.
local function find(sums, share)
    local low, high = 1, #sums
    while low < high do
        local middle = math.floor((low + high) / 2)
        if sums[middle] < share then low = middle + 1 else high = middle end
    end
    return low
end

function init(arguments)
    local order, contacts, start = arguments[1], tonumber(arguments[2]), tonumber(arguments[3])
    bad = 0
    local pause = tonumber(arguments[4 + #clients])
    -- wrk looks after init whether there is such a function.
    if pause then delay = function() return pause end end
    for number = 1, contacts do
        paths[number] = "GET /v1/audiences/22089fd7-7b74-4815-8452-3a8e864affbc/contacts/" .. contact(number)
    end
    local known = {}
    for index, client in ipairs(clients) do
        middles[index] = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n" .. client
            .. "X-Dexatel-Key: " .. arguments[3 + index] .. "\r\nX-Request-Id: 7d3f6a52-9c41-4e0b-8a17-"
        if not known[arguments[3 + index]] then
            known[arguments[3 + index]] = true
            table.insert(distinct, middles[index])
        end
    end
    if order == "all" then
        counter = start
        isInOrder = true
        response = function(status)
            if status ~= 200 then bad = bad + 1 end
        end
    else
        math.randomseed(start)
        local sums, sum = {}, 0
        for number = 1, contacts do
            sum = sum + (order == "zipf" and 1 / number or 1)
            sums[number] = sum
        end
        for index = 1, PICKS do
            picks[index] = { paths[find(sums, math.random() * sum)], middles[math.random(#middles)] }
        end
    end
end

function request()
    local place = counter
    counter = counter + 1
    if isInOrder then
        local path = paths[math.floor(place / #distinct) % #paths + 1]
        return path .. distinct[place % #distinct + 1] .. string.format("%012x\r\n\r\n", counter)
    end
    local pick = picks[place % #picks + 1]
    return pick[1] .. pick[2] .. string.format("%012x\r\n\r\n", counter)
end

function done(summary, latency, requests)
    local errors, bad_statuses = summary.errors, summary.errors.status
    for _, thread in ipairs(threads) do bad_statuses = math.max(bad_statuses, thread:get("bad")) end
    print(string.format(
        'RESULT {"requests":%d,"bytes":%d,"duration_us":%d,"bad_statuses":%d,"socket_errors":%d,'
            .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}',
        summary.requests,
        summary.bytes,
        summary.duration,
        bad_statuses,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50),
        latency:percentile(90),
        latency:percentile(99),
        latency.max
    ))
end
