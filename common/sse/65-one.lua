-- A single event behind others of its kind, with no options but PLAIN ones: what most events are. The same as `append`, without
-- the tables that this needs for all the others, which would cost half as much again. Returns nil where that has to do it.
local function append_one(channel, event, data, retry, o, last, ms, offset, epoch)
    local key, name, maxlen, wanted = channel.key, channel.name, o.maxlen or MAXLEN, o.key
    local known_as = wanted and find_key(key, last, offset, wanted)
    if known_as then
        return {epoch .. '.' .. decimal(known_as), 0}
    end
    local time, number, expires = now(), offset + 1, false
    local is_due = number % TRIM_EVERY == 0 or maxlen < TRIM_SMALL
    if time ~= ms then
        local quiet = time - ms
        is_due = is_due or quiet >= TRIM_QUIET_MS
        expires = quiet < 0 or floor(time / EXPIRE_WINDOW) ~= floor(ms / EXPIRE_WINDOW)
        time = quiet < 0 and ms or time
    end
    local command = publish_command(name, o.pubsub)
    check_rights(key, command, name, is_due or expires or o.maxbytes)
    local id = time .. '-' .. decimal(number)
    local more, sizes, size, minid = NONE, nil, nil, nil
    if o.maxbytes then
        size = size_of(event, data)
        sizes = recall(SIZED, key, last)
        if is_due or are_bytes_due(o.maxbytes, size) then
            if sizes == nil then
                return nil
            end
            minid = make_room(key, sizes, sizes.total + size, o.maxbytes, id)
            is_due, more = true, {'bytes', bytes_text(sizes, sizes.total + size)}
        end
    end
    if wanted then
        more = more == NONE and {} or more
        with(more, 'key', wanted)
    end
    local added
    if is_due or wanted then
        added = add(key, is_due and maxlen, minid, number, id, epoch, last, event, retry, data, more)
    else
        added = redis_call('XADD', key, id, 'epoch', epoch, 'prev', last, 'event', event, 'retry', retry, 'data', data)
    end
    if added ~= id then
        forget(SIZED, key)
        return nil
    end
    if is_due and time - epoch > MAXAGE then
        call('XTRIM', key, 'MINID', '=', decimal(time - MAXAGE))
    end
    if expires then
        call('PEXPIRE', key, EXPIRE)
    end
    if sizes then
        push_size(sizes, id, sizes.total + size)
    end
    if wanted or KEYED.count > 0 then
        remember_key(key, last, id, number, false, wanted)
    end
    local lines = MAGIC
    if event ~= '' then
        lines = lines .. 'event: ' .. event .. '\n'
    end
    if retry ~= '' then
        lines = lines .. 'retry: ' .. retry .. '\n'
    end
    return {epoch .. '.' .. decimal(number), call(command, name,
        lines .. 'durable: ' .. id .. ' ' .. last .. ' ' .. epoch .. '\n\n' .. data)}
end
