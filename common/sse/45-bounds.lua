-- Where the next event goes: behind `last`, or at the beginning of a new life of the history where there is none, or where
-- its last event has ended it. Never before the newest one, though the clock may have been set back.
local function next_place(last, ms)
    if last == nil then
        return {ms = ms, offset = 0, prev = '0-0', epoch = ms, begins = true}
    end
    if ms ~= last.ms and ms + 0 < last.ms + 0 then
        ms = last.ms
    end
    if last['end'] then
        ms = ms == last.ms and decimal(ms + 1) or ms
        return {ms = ms, offset = 0, prev = '0-0', epoch = ms, begins = true}
    end
    return {ms = ms, offset = last.offset + 0, prev = last.id, epoch = last.epoch, begins = false}
end

local function is_trim_due(last, place, count, maxlen)
    local offset = place.offset
    return maxlen < TRIM_SMALL or last == nil or place.ms - last.ms >= TRIM_QUIET_MS or
        floor(offset / TRIM_EVERY) ~= floor((offset + count) / TRIM_EVERY)
end

-- The one that is later, of an id or nil and a number of milliseconds.
local function later(id, ms)
    return (id == nil or match(id, '^%d+') < ms + 0) and decimal(ms) or id
end

local NO_TRIM = '9223372036854775807'

-- What is to be kept of the history with the `count` events that come now, the first of which is `first_id`: no more than
-- `trim` events, and of those before only `oldest` and what follows it. Besides, what the new entries are to say of bytes and
-- of the newest snapshot.
local function bounds_of(key, o, last, place, size, count, first_id)
    local old = not place.begins and not o.snapshot and last or nil
    local maxlen, maxage, maxbytes = o.maxlen or MAXLEN, o.maxage or MAXAGE, o.maxbytes
    local b = {base = o.snapshot and first_id or old and old.base, oldest = last and not old and first_id or nil}
    local due = b.oldest or is_trim_due(last, place, count, maxlen)
    if maxbytes then
        local through, first, before = bytes_of(key, old, maxbytes)
        local excess = through + size - before - maxbytes
        first = first or first_id
        if excess > 0 and (due or excess > maxbytes / 16) then
            first, before = oldest_within(key, recall(SIZES, key, old) or NO_SIZES, first, before, through + size, maxbytes,
                first_id)
            b.oldest = first
        end
        b.through, b.first, b.before = through, first, decimal(before)
    end
    -- No entry is older than its epoch. An XTRIM in vain is not for nothing: it steps over all that was deleted before.
    if due and place.ms - place.epoch > maxage then
        b.oldest = later(b.oldest, place.ms - maxage)
    end
    b.trim = due and decimal(maxlen) or NO_TRIM
    return b
end
