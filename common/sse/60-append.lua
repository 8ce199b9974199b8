local function check_after(last, after)
    local offset = last and not last['end'] and last.offset + 0 or 0
    if offset ~= after then
        error({err = 'FENCED ' .. called .. ': the last offset of the channel is ' .. decimal(offset) .. ', not ' .. decimal(after)}, 0)
    end
end

local function publish_command(name, pubsub)
    return (pubsub == 'sharded' or (pubsub == nil and is_cluster(name))) and 'SPUBLISH' or 'PUBLISH'
end

-- A single event without options behind one without: what most events are. The same as `append`, without the tables that
-- this needs for all the others, which would cost a fifth more.
local function append_plain(channel, event, data, retry, id, ms, offset, epoch)
    local key, name = channel.key, channel.name
    local command, time, number, is_due = publish_command(name, nil), now(), offset + 1, true
    if time ~= ms then
        local quiet = time - ms
        time = quiet < 0 and ms or time
        is_due = number % TRIM_EVERY == 0 or quiet >= TRIM_QUIET_MS
    else
        is_due = number % TRIM_EVERY == 0
    end
    check_rights(key, command, name, is_due)
    number = decimal(number)
    local new = time .. '-' .. number
    local reply
    if is_due then
        reply = redis_call('XADD', key, 'MAXLEN', '=', MAXLEN, new, 'epoch', epoch, 'prev', id, 'event', event, 'retry', retry,
            'data', data)
    else
        reply = redis_call('XADD', key, new, 'epoch', epoch, 'prev', id, 'event', event, 'retry', retry, 'data', data)
    end
    if reply ~= new then
        return nil, reply
    end
    if is_due and time - epoch > MAXAGE then
        call('XTRIM', key, 'MINID', '=', decimal(time - MAXAGE))
    end
    if time ~= ms and floor(time / EXPIRE_WINDOW) ~= floor(ms / EXPIRE_WINDOW) then
        call('PEXPIRE', key, EXPIRE)
    end
    local lines = MAGIC
    if event ~= '' then
        lines = lines .. 'event: ' .. event .. '\n'
    end
    if retry ~= '' then
        lines = lines .. 'retry: ' .. retry .. '\n'
    end
    return {epoch .. '.' .. number, call(command, name,
        lines .. 'durable: ' .. new .. ' ' .. id .. ' ' .. epoch .. '\n\n' .. data)}
end

-- Any number of events with any options.
local function append(channel, events, datas, retry, o)
    local key, name, count, size = channel.key, channel.name, #datas, 0
    local command = publish_command(name, o.pubsub)
    check_rights(key, command, name, true)
    local id, ms, offset, epoch, last = newest(key)
    if id then
        last = last or {}
        last.id, last.ms, last.offset, last.epoch = id, ms, offset, epoch
    end
    local known_as = o.key and last and find_key(key, last, o.key)
    if known_as then
        return {last.epoch .. '.' .. decimal(known_as), 0}
    end
    if o.after then
        check_after(last, o.after)
    end
    local place = next_place(last, now())
    local prev = place.prev
    for i = 1, count do
        size = size + size_of(events[i], datas[i])
    end
    local b = bounds_of(key, o, last, place, size, count, place.ms .. '-' .. decimal(place.offset + 1))
    local ids = add_all(key, last, place, events, datas, retry, o, b)
    if b.oldest then
        call('XTRIM', key, 'MINID', '=', b.oldest)
    end
    expire(key, last, place.ms, o)
    if o.key or KEYED.count > 0 then
        remember_key(key, last, place, o.key)
    end
    local receivers = publish(command, name, events, datas, retry, ids, prev, place.epoch, o)
    return {place.epoch .. '.' .. decimal(place.offset), receivers}
end
