local function check_after(offset, after)
    if offset ~= after then
        error({err = 'FENCED ' .. called .. ': the last offset of the channel is ' .. decimal(offset) .. ', not ' ..
            decimal(after)}, 0)
    end
end

-- Any number of events with any options, behind the newest entry, of which all is given that `newest` says.
local function append(channel, events, datas, retry, o, ...)
    local key, name, count = channel.key, channel.name, #datas
    local command = publish_command(name, o.pubsub)
    local place = place_behind(...)
    local known_as = o.key and place.last and find_key(key, place.last, place.last_offset, o.key)
    if known_as then
        return {place.last_epoch .. '.' .. decimal(known_as), 0}
    end
    if o.after then
        check_after(place.offset, o.after)
    end
    set_time(place, now())
    local prev = place.prev
    local lifetime, b = lifetime_to_set(place, o), bounds_of(key, o, place, events, datas)
    check_rights(key, command, name, b.due or b.minid or lifetime)
    local ids = add_all(key, place, events, datas, retry, o, b)
    if ids == nil then
        forget(SIZED, key)
        set_time(place, after_all(key))
        b = bounds_of(key, o, place, events, datas)
        check_rights(key, command, name, b.due or b.minid or lifetime)
        ids = add_all(key, place, events, datas, retry, o, b) or refuse('the history has no place for the event')
    end
    if lifetime then
        call('PEXPIRE', key, lifetime)
    end
    if o.key or KEYED.count > 0 then
        remember_key(key, place.last, ids[count], place.offset, place.begins, o.key)
    end
    if b.m then
        for i = 1, count do
            push_size(b.m, place.offset - count + i, place.ms, b.m.total + b.sizes[i])
        end
        b.m.last = ids[count]
    end
    local receivers = publish(command, name, events, datas, retry, ids, prev, place.epoch, o)
    return {place.epoch .. '.' .. decimal(place.offset), receivers}
end
