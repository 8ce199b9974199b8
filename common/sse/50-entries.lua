-- The fields that only some entries have.
local function extra_of(o, b, size, is_last)
    local extra, n = {}, 0
    if o.maxage and o.maxage ~= MAXAGE then
        extra[1], extra[2], n = 'maxage', decimal(o.maxage), 2
    end
    if b.base then
        extra[n + 1], extra[n + 2], n = 'base', b.base, n + 2
    end
    if b.through then
        b.through = b.through + size
        extra[n + 1], extra[n + 2], n = 'bytes', decimal(b.through) .. ' ' .. b.first .. ' ' .. b.before, n + 2
    end
    if is_last and o.key then
        extra[n + 1], extra[n + 2], n = 'key', o.key, n + 2
    end
    if is_last and o['end'] then
        extra[n + 1], extra[n + 2] = 'end', o['end']
    end
    return extra
end

local function add(key, trim, place, event, retry, data, extra)
    local id = place.ms .. '-' .. decimal(place.offset + 1)
    local reply = redis_call('XADD', key, 'MAXLEN', '=', trim, id, 'epoch', place.epoch, 'prev', place.prev, 'event', event,
        'retry', retry, 'data', data, unpack_all(extra))
    return reply == id, reply
end

-- Appends the events behind `place`, which moves along. Returns the entries' ids.
--
-- Somebody may have deleted entries with XDEL or XTRIM: the stream still counts from the highest id it ever had, which may
-- be later than ours. Then the events go after that one, so that no position of a reader from before names them.
local function add_all(key, last, place, events, datas, retry, o, b)
    local ids, count, has_extra = {}, #datas, b.base or o ~= NONE
    for i = 1, count do
        local extra = has_extra and extra_of(o, b, size_of(events[i], datas[i]), i == count) or NONE
        local trim = i == count and b.trim or NO_TRIM
        local is_added, reply = add(key, trim, place, events[i], retry, datas[i], extra)
        if not is_added and i == 1 and find(reply.err, 'equal or smaller', 1, true) then
            place.ms = after_all(key)
            is_added, reply = add(key, trim, place, events[i], retry, datas[i], extra)
        end
        if not is_added then
            raise(reply, 'XADD', key)
        end
        ids[i], place.prev, place.offset = reply, reply, place.offset + 1
        if b.through then
            remember_size(key, last, reply, b.through)
            last = {id = reply}
        end
    end
    return ids
end

-- The key lives for `maxage` after its newest event, or up to a part of that longer.
local function expire(key, last, ms, o)
    if o['end'] then
        call('PEXPIRE', key, o['end'] .. '000')
        return
    end
    local maxage = o.maxage or MAXAGE
    local slack = ceil(maxage / EXPIRE_SLACK)
    local is_same = last and not last['end'] and (last.maxage or MAXAGE) + 0 == maxage
    if not is_same or floor(ms / slack) ~= floor(last.ms / slack) then
        call('PEXPIRE', key, decimal(maxage + slack))
    end
end
