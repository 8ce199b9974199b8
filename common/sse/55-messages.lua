local ESCAPED = {['%'] = '%25', ['\r'] = '%0D', ['\n'] = '%0A', [' '] = '%20'}

-- Looked for one by one: the plain search is that of memchr, many times as fast as that for a class of characters.
local function holds(text, byte)
    return find(text, byte, 1, true)
end

local function escape(text, is_name)
    if holds(text, '%') or holds(text, '\n') or holds(text, '\r') or (is_name and holds(text, ' ')) then
        return (gsub(text, is_name and '[%% \r\n]' or '[%%\r\n]', ESCAPED))
    end
    return text
end

-- The messages to the gateways. Of several events in one message all but the last stand in lines of their own, which
-- gateways that know no such lines ignore: they find a hole before the last one then, and read the history.
local function publish(command, channel, events, datas, retry, ids, prev, epoch, o)
    local count, receivers, first = #datas, 0, 1
    while first <= count do
        local i, bytes, lines, n = first, count > 1 and #events[first] + #datas[first], {MAGIC}, 1
        while i < count and bytes + #events[i + 1] + #datas[i + 1] < MESSAGE_BYTES do
            lines[n + 1], lines[n + 2], lines[n + 3], lines[n + 4] = 'earlier: ', escape(events[i], true), ' ',
                escape(datas[i], false)
            lines[n + 5], n = '\n', n + 5
            i = i + 1
            bytes = bytes + #events[i] + #datas[i]
        end
        local head = i > first and 'first: ' .. (ids[first - 1] or prev) .. '\n' or ''
        if events[i] ~= '' then
            head = head .. 'event: ' .. events[i] .. '\n'
        end
        if retry ~= '' then
            head = head .. 'retry: ' .. retry .. '\n'
        end
        if o ~= NONE then
            head = head .. (o.traceparent or '') .. (o['trace-to'] or '') ..
                (first == 1 and o.snapshot and 'snapshot: 1\n' or '') .. (i == count and o['end'] and 'end: 1\n' or '')
        end
        lines[n + 1] = head
        lines[n + 2] = 'durable: ' .. ids[i] .. ' ' .. (ids[i - 1] or prev) .. ' ' .. epoch .. '\n\n'
        lines[n + 3] = datas[i]
        receivers = call(command, channel, concat(lines))
        first = i + 1
    end
    return receivers
end
