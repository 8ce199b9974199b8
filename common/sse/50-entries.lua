local function with(fields, name, value)
    local n = #fields
    fields[n + 1], fields[n + 2] = name, value
end

-- The fields that only some entries have: of each new one, and of the last.
local function more_fields(o, b)
    local each, last = NONE, NONE
    if b.base or (o.maxage and o.maxage ~= MAXAGE) then
        each, last = {}, {}
        for _, fields in ipairs({each, last}) do
            if o.maxage and o.maxage ~= MAXAGE then
                with(fields, 'maxage', decimal(o.maxage))
            end
            if b.base then
                with(fields, 'base', b.base)
            end
        end
    end
    local key, ends = o.key, o['end']
    if b.bytes or key or ends then
        last = last == NONE and {} or last
        if b.bytes then
            with(last, 'bytes', b.bytes)
        end
        if key then
            with(last, 'key', key)
        end
        if ends then
            with(last, 'end', ends)
        end
    end
    return each, last
end

-- Adds an entry and drops what is more than `maxlen` entries or before `minid`, where these are given. The first of the two
-- says nothing where the entries from the second on are not so many. Returns nil and what Redis said where it did not.
local function add(key, maxlen, minid, offset, id, epoch, prev, event, retry, data, more)
    local reply
    if minid and (not maxlen or offset - offset_of(minid) < maxlen) then
        reply = redis_call('XADD', key, 'MINID', '=', minid, id, 'epoch', epoch, 'prev', prev, 'event', event, 'retry', retry,
            'data', data, unpack_all(more))
        minid = nil
    elseif maxlen then
        reply = redis_call('XADD', key, 'MAXLEN', '=', maxlen, id, 'epoch', epoch, 'prev', prev, 'event', event, 'retry', retry,
            'data', data, unpack_all(more))
    else
        reply = redis_call('XADD', key, id, 'epoch', epoch, 'prev', prev, 'event', event, 'retry', retry, 'data', data,
            unpack_all(more))
    end
    if reply ~= id then
        return nil, reply
    end
    if minid then
        call('XTRIM', key, 'MINID', '=', minid)
    end
    return id
end

-- Appends the events behind `place`, which moves along. Returns the entries' ids, or nil where the first one's place is taken.
--
-- Somebody may have deleted entries with XDEL or XTRIM: the stream still counts from the highest id it ever had, which may
-- be later than ours. Then the events go after that one, so that no position of a reader from before names them.
local function add_all(key, place, events, datas, retry, o, b)
    local ids, count, each, last = {}, #datas, more_fields(o, b)
    for i = 1, count do
        local id, is_last = id_at(place, 1), i == count
        local added, reply = add(key, is_last and b.due and b.maxlen, is_last and b.minid, place.offset + 1, id, place.epoch,
            place.prev, events[i], retry, datas[i], is_last and last or each)
        if not added then
            if i == 1 and find(reply.err, 'equal or smaller', 1, true) then
                return nil
            end
            raise(reply, 'XADD', key)
        end
        ids[i], place.prev, place.offset = id, id, place.offset + 1
    end
    return ids
end

-- The key lives for `maxage` after its newest event, or up to a part of that longer: where the last event set the same and
-- is of the same part, nothing is to do. Of an event that a clock which was set back holds at the time of the last one, the
-- part is not known.
local function lifetime_to_set(place, o)
    if o['end'] then
        return o['end'] .. '000'
    end
    local maxage = o.maxage or MAXAGE
    local slack = ceil(maxage / EXPIRE_SLACK)
    local is_same = not place.begins and (field_of(place.fields, 'maxage') or MAXAGE) + 0 == maxage
    if not is_same or place.is_held or floor(place.ms / slack) ~= floor(place.last_ms / slack) then
        return decimal(maxage + slack)
    end
    return nil
end
