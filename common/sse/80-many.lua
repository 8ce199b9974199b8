local function publish_many(keys, args)
    called = 'sse_append'
    local count = #args > 0 and whole(args[1], 1, BATCH_MAX)
    if #keys ~= 1 or #args < 1 then
        refuse('wrong number of arguments; call it as 1 CHANNEL N EVENT1 DATA1 .. EVENTN DATAN [OPTION VALUE]..')
    elseif not count then
        refuse('the number of events is 1 to ' .. BATCH_MAX .. ', not ' .. shown(args[1]))
    elseif #args < 1 + 2 * count or #args % 2 == 0 then
        refuse('wrong number of arguments for ' .. count .. ' events, each with a name, which may be empty, and data')
    end
    local channel, events, datas = channel_of(keys[1]), {}, {}
    for i = 1, count do
        events[i], datas[i] = args[2 * i], args[2 * i + 1]
        if events[i] ~= '' then
            check_event(events[i])
        end
        check_data(datas[i])
    end
    return append(channel, events, datas, '', options(args, 2 + 2 * count), newest(channel.key))
end

redis.register_function('sse_append', function(keys, args)
    return guarded(publish_many, keys, args)
end)
