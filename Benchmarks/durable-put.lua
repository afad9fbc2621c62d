-- wrk: durable updates of distinct contacts.
--
-- arguments: SEED KEY; the seed decides the identifiers, so that no two runs of a benchmark share a contact.

local counter = 0
local thread_count = 0
local head, tail

-- The one in `wrk -t` threads that is set up here gets its number.
function setup(thread)
    thread:set("thread_number", thread_count)
    thread_count = thread_count + 1
end

function init(arguments)
    local seed, key = tonumber(arguments[1]), arguments[2]
    local body = '{"data":{"first_name":"Ada","last_name":"Lovelace","timestamp":"1700000000","date":"1815-12-10"}}'
    head = string.format(
        "PUT /v1/audiences/22089fd7-7b74-4815-8452-3a8e864affbc/contacts/%08x-%04x-4000-8000-",
        seed % 0x100000000,
        thread_number
    )
    tail = table.concat({
        " HTTP/1.1",
        "Host: " .. wrk.headers["Host"],
        "X-Dexatel-Key: " .. key,
        "Content-Type: application/json",
        "Prefer: respond-async",
        "Content-Length: " .. #body,
        "",
        body,
    }, "\r\n")
end

function request()
    counter = counter + 1
    return head .. string.format("%012x", counter) .. tail
end

-- Replies are counted by wrk itself: a function of our own for each would cost the client more than the rest.
function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests":%d,"duration_us":%d,"bad_statuses":%d,"socket_errors":%d,'
            .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}',
        summary.requests,
        summary.duration,
        errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50),
        latency:percentile(90),
        latency:percentile(99),
        latency.max
    ))
end
