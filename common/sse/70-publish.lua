-- Turns what is thrown into an error reply, without the place in the script that Redis would add. From Redis 7 on, pcall
-- gives the text alone where a table was thrown.
local function guarded(what, keys, args)
    if find == nil then
        take_globals()
    end
    local ok, reply = pcall(what, keys, args)
    if ok then
        return reply
    end
    local text = type_of(reply) == 'table' and reply.err or reply
    return {err = find(text, '^%u+ ') and text or 'ERR ' .. called .. ': ' .. text}
end

local function publish_one(keys, args)
    called = 'sse_publish'
    local argc = #args
    if #keys ~= 1 or argc < 1 or (argc > 3 and argc % 2 == 0) then
        refuse('wrong number of arguments; call it as 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]')
    end
    local channel, data, event, retry = channel_of(keys[1]), args[1], args[2] or '', args[3] or ''
    if event ~= '' then
        check_event(event)
    end
    if retry ~= '' then
        retry = check_retry(retry)
    end
    check_data(data)
    local o = options(args, 4)
    local last, ms, offset, epoch, fields = newest(channel.key)
    return last and o.is_plain and is_plain_entry(fields) and
        append_one(channel, event, data, retry, o, last, ms, offset, epoch) or
        append(channel, {event}, {data}, retry, o, last, ms, offset, epoch, fields)
end

local function sse_publish(keys, args)
    return guarded(publish_one, keys, args)
end

-- The end of the script.
if not is_function then
    return sse_publish(KEYS, ARGV)
end

redis.register_function('sse_publish', sse_publish)
redis.register_function{
    function_name = 'sse_version',
    callback = function()
        return VERSION
    end,
    flags = {'no-writes'},
}
