-- wrk: requests of which no two are for the same contact.
--
-- arguments: KIND SEED KEY; the seed decides the identifiers, so that no two runs of a benchmark share a contact.
--   KIND  put-async   an update with Prefer: respond-async
--         put         an update, in the default mode: it waits for the upstream's own reply
--         post        a message, which is passed through
--         get         a read of a contact that has not been read before

local counter = 0
local thread_count = 0
local head, tail

local audience = "/v1/audiences/22089fd7-7b74-4815-8452-3a8e864affbc/contacts/"
local contact = '{"data":{"first_name":"Ada","last_name":"Lovelace","timestamp":"1700000000","date":"1815-12-10"}}'
local message = '{"data":{"from":"Dexatel","to":["37411223344"],"text":"Hello Ada","channel":"SMS"}}'

local kinds = {
    ["put-async"] = { line = "PUT " .. audience, body = contact, fields = { "Prefer: respond-async" } },
    put = { line = "PUT " .. audience, body = contact, fields = {} },
    -- The query makes them as different as the others.
    post = { line = "POST /v1/messages?id=", body = message, fields = {} },
    get = { line = "GET " .. audience, fields = {} },
}

-- The one in `wrk -t` threads that is set up here gets its number.
function setup(thread)
    thread:set("thread_number", thread_count)
    thread_count = thread_count + 1
end

function init(arguments)
    local kind, seed, key = kinds[arguments[1]], tonumber(arguments[2]), arguments[3]
    head = string.format("%s%08x-%04x-4000-8000-", kind.line, seed % 0x100000000, thread_number)
    local lines = { " HTTP/1.1", "Host: " .. wrk.headers["Host"], "X-Dexatel-Key: " .. key }
    for _, field in ipairs(kind.fields) do table.insert(lines, field) end
    if kind.body then
        table.insert(lines, "Content-Type: application/json")
        table.insert(lines, "Content-Length: " .. #kind.body)
    end
    tail = table.concat(lines, "\r\n") .. "\r\n\r\n" .. (kind.body or "")
end

function request()
    counter = counter + 1
    return head .. string.format("%012x", counter) .. tail
end

-- Replies are counted by wrk itself: a function of our own for each would cost the client more than the rest.
function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests":%d,"bytes":%d,"duration_us":%d,"bad_statuses":%d,"socket_errors":%d,'
            .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}',
        summary.requests,
        summary.bytes,
        summary.duration,
        errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50),
        latency:percentile(90),
        latency:percentile(99),
        latency.max
    ))
end
