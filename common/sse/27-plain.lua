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

-- What sse_publish is to publish: the channel, data, event name and retry.
local function event_of(keys, args)
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
    return channel, data, event, retry
end

-- The message of one event, in which no more is said than its place.
local function message_of(event, data, retry, id, last, epoch)
    local lines = MAGIC
    if event ~= '' then
        lines = lines .. 'event: ' .. event .. '\n'
    end
    if retry ~= '' then
        lines = lines .. 'retry: ' .. retry .. '\n'
    end
    return lines .. 'durable: ' .. id .. ' ' .. last .. ' ' .. epoch .. '\n\n' .. data
end

-- When an event that follows one of the time `ms` is published, whether one of that time trims, and whether the key has to
-- live longer: a clock that was set back holds an event at the time of the one before.
local function time_behind(ms, is_due)
    local time, expires = now(), false
    if time ~= ms then
        local quiet = time - ms
        is_due = is_due or quiet >= TRIM_QUIET_MS
        expires = quiet < 0 or floor(time / EXPIRE_WINDOW) ~= floor(ms / EXPIRE_WINDOW)
        time = quiet < 0 and ms or time
    end
    return time, is_due, expires
end

-- An event without options behind one without: what most are. The same as `append`, without the tables that this needs for
-- all the others. Returns nil where that has to do it.
local function append_plain(channel, event, data, retry, last, ms, offset, epoch)
    local key, name, number = channel.key, channel.name, offset + 1
    local time, is_due, expires = time_behind(ms, number % TRIM_EVERY == 0)
    local command = publish_command(name)
    check_rights(key, command, name, is_due or expires)
    number = decimal(number)
    local id, added = time .. '-' .. number, nil
    if is_due then
        added = redis_call('XADD', key, 'MAXLEN', '=', MAXLEN, id, 'epoch', epoch, 'prev', last, 'event', event, 'retry', retry,
            'data', data)
    else
        added = redis_call('XADD', key, id, 'epoch', epoch, 'prev', last, 'event', event, 'retry', retry, 'data', data)
    end
    if added ~= id then
        return nil
    end
    if is_due and time - epoch > MAXAGE then
        call('XTRIM', key, 'MINID', '=', decimal(time - MAXAGE))
    end
    if expires then
        call('PEXPIRE', key, EXPIRE)
    end
    return {epoch .. '.' .. number, call(command, name, message_of(event, data, retry, id, last, epoch))}
end

local function publish_plain(keys, args)
    if #args > 3 then
        return nil
    end
    local channel, data, event, retry = event_of(keys, args)
    local last, ms, offset, epoch, fields = newest(channel.key)
    return last and fields == nil and append_plain(channel, event, data, retry, last, ms, offset, epoch) or nil
end

-- For most events the script ends here. To define all that follows takes longer than to publish one.
if not is_function then
    local reply = guarded(publish_plain, KEYS, ARGV)
    if reply then
        return reply
    end
end
