local function publish_one(keys, args)
    local channel, data, event, retry = event_of(keys, args)
    local o, reply = options(args, 4), nil
    local last, ms, offset, epoch, fields = newest(channel.key)
    if last and o == NONE and fields == nil and KEYED.young[channel.key] == nil then
        reply = append_plain(channel, event, data, retry, last, ms, offset, epoch)
    elseif last and o.is_plain and is_plain_entry(fields) then
        reply = append_one(channel, event, data, retry, o, last, ms, offset, epoch)
    end
    return reply or append(channel, {event}, {data}, retry, o, last, ms, offset, epoch, fields)
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
