-- A single event with no options but PLAIN ones, behind others of the kind. The same as `append`, without the tables that this
-- needs for all the others, which would cost half as much again. Returns nil where that has to do it.
local function append_one(channel, event, data, retry, o, last, ms, offset, epoch)
    local key, name, maxlen, wanted = channel.key, channel.name, o.maxlen or MAXLEN, o.key
    local known_as = wanted and find_key(key, last, offset, wanted)
    if known_as then
        return {epoch .. '.' .. decimal(known_as), 0}
    end
    local number = offset + 1
    local time, is_due, expires = time_behind(ms, number % TRIM_EVERY == 0 or maxlen < TRIM_SMALL)
    local command, size = publish_command(name, o.pubsub), o.maxbytes and size_of(event, data)
    is_due = is_due or (size and size > o.untrimmed_bytes)
    check_rights(key, command, name, is_due or expires)
    local id = time .. '-' .. decimal(number)
    local more, sizes, minid = NONE, size and recall(SIZED, key, last), nil
    if size and is_due then
        if sizes == nil or sizes.limit < sizes_limit(maxlen) then
            return nil
        end
        minid = make_room(key, sizes, sizes.total + size, o.maxbytes, number, id)
        if number % SAY_EVERY == 0 or number % TRIM_EVERY ~= 0 then
            more = {'bytes', bytes_text(sizes, sizes.total + size)}
        end
    end
    if wanted then
        more = more == NONE and {} or more
        with(more, 'key', wanted)
    end
    if add(key, is_due and maxlen, minid, number, id, epoch, last, event, retry, data, more) ~= id then
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
        push_size(sizes, number, time, sizes.total + size)
        sizes.last = id
    end
    if wanted or KEYED.count > 0 then
        remember_key(key, last, id, number, false, wanted)
    end
    return {epoch .. '.' .. decimal(number), call(command, name, message_of(event, data, retry, id, last, epoch))}
end
