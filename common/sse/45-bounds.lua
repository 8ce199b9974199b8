-- Where the next event goes: behind the newest one, of which all is given that `newest` says, or at the beginning of a new
-- life of the history where there is none, or where the newest one has ended it. Never before the newest one, though the
-- clock may have been set back.
local function place_behind(last, last_ms, offset, epoch, fields)
    local ended = field_of(fields, 'end') ~= nil
    if last == nil or ended then
        return {last = last, last_ms = last_ms, last_offset = offset, last_epoch = epoch, fields = fields, begins = true,
            offset = 0, prev = '0-0'}
    end
    return {last = last, last_ms = last_ms, last_offset = offset, last_epoch = epoch, fields = fields, begins = false,
        offset = offset + 0, prev = last, epoch = epoch}
end

local function set_time(place, ms)
    if place.last and ms ~= place.last_ms and ms + 0 < place.last_ms + 0 then
        ms, place.is_held = place.last_ms, true
    end
    if place.begins then
        ms = ms == place.last_ms and decimal(ms + 1) or ms
        place.epoch = ms
    end
    place.ms = ms
end

local function is_trim_due(place, count, maxlen)
    return maxlen < TRIM_SMALL or place.last == nil or place.offset % TRIM_EVERY + count >= TRIM_EVERY or
        place.ms - place.last_ms >= TRIM_QUIET_MS
end

local function id_at(place, i)
    return place.ms .. '-' .. decimal(place.offset + i)
end

-- Bounds the bytes: what is not kept for want of room is before b.minid. Says in b.bytes what the newest entry is to say.
local function bound_bytes(b, key, place, old, events, datas, o)
    local sizes, size, count, maxbytes = {}, 0, #datas, o.maxbytes
    for i = 1, count do
        sizes[i] = size_of(events[i], datas[i])
        size = size + sizes[i]
    end
    local m = old and recall(SIZED, key, old)
    if not b.due and size <= o.untrimmed_bytes then
        b.m, b.sizes = m, sizes
        return
    end
    if allows and not allows('XRANGE', key, '-', '+') then
        forbid('XRANGE', key)
    end
    local first_id = id_at(place, 1)
    if old then
        m = m and m.limit >= b.limit and m or read_sizes(key, maxbytes, b.maxlen, b.limit)
    else
        m = new_sizes(key, place.offset + 1, first_id, 0, b.limit)
    end
    local through = m.total + size
    b.minid = make_room(key, m, through, maxbytes, place.offset + 1, first_id)
    for i = 1, count - 1 do
        if m.window == place.offset + i and through - m.before > maxbytes then
            m.before, m.window, m.window_id = m.before + sizes[i], m.window + 1, id_at(place, i + 1)
            b.minid = m.window_id
        end
    end
    b.m, b.sizes, b.due, b.bytes = m, sizes, true, bytes_text(m, through)
end

-- The id that is later; either may be nil.
local function later(a, b)
    if a == nil or b == nil then
        return a or b
    end
    local ms_a, ms_b = ms_of(a) + 0, ms_of(b) + 0
    return (ms_a > ms_b or (ms_a == ms_b and offset_of(a) > offset_of(b))) and a or b
end

-- What is to be kept of the history with the events that come now: no more than `maxlen` events, if it is `due`, and of all
-- only those that are not before `minid`. `base` is the newest snapshot.
local function bounds_of(key, o, place, events, datas)
    local old = not place.begins and not o.snapshot and place.last or nil
    local maxlen, maxage, count = o.maxlen or MAXLEN, o.maxage or MAXAGE, #datas
    local b = {maxlen = maxlen, due = is_trim_due(place, count, maxlen)}
    if o.snapshot then
        b.base = id_at(place, 1)
    elseif old then
        b.base = field_of(place.fields, 'base')
    end
    if o.maxbytes then
        b.limit = sizes_limit(maxlen)
        bound_bytes(b, key, place, old, events, datas, o)
    end
    if place.last and not old then
        b.minid = later(b.minid, id_at(place, 1))
    -- No entry is older than its epoch. An XTRIM in vain is not for nothing: it steps over all that was deleted before.
    elseif b.due and place.ms - place.epoch > maxage then
        b.minid = later(b.minid, decimal(place.ms - maxage) .. '-0')
    end
    return b
end
