-- Of the channels whose bytes are bounded: the ids of entries, the oldest first, and the bytes of all events up to each.
local SIZES = new_memory()
local NO_SIZES = {ids = {}, through = {}, first = 1}

local function remember_size(key, last, id, through)
    local m = recall(SIZES, key, last)
    if m == nil then
        m = {ids = {}, through = {}, first = 1, things = 0}
        remember(SIZES, key, m, 1)
    end
    local n = m.first + m.things
    m.ids[n], m.through[n], m.things = id, through, m.things + 1
    SIZES.count = SIZES.count + 1
    m.last = id
end

-- Entries whose bytes are counted carry "THROUGH FIRST BEFORE": the bytes of all events up to this one in this life of the
-- history; the oldest entry that there is room for; the bytes of all events before that one.
local function size_of(event, data)
    return #event + #data + ENTRY_BYTES
end

local function entry_through(entry, before)
    local fields = entry[2]
    for i = 11, #fields, 2 do
        if fields[i] == 'bytes' then
            return to_number(match(fields[i + 1], '^%d+'))
        end
    end
    return before + size_of(fields[6], fields[10])
end

-- For a history whose newest entry counts no bytes: those of the newest events that there is room for, and the oldest of
-- these.
local function count_bytes(key, maxbytes)
    local total, first, from = 0, nil, '+'
    while true do
        local page = call('XREVRANGE', key, from, '-', 'COUNT', '100')
        for _, entry in ipairs(page) do
            check_entry(key, entry[2])
            local size = size_of(entry[2][6], entry[2][10])
            if first and total + size > maxbytes then
                return total, first, 0
            end
            total, first = total + size, entry[1]
        end
        if #page < 100 then
            return total, first, 0
        end
        from = '(' .. page[100][1]
    end
end

local function bytes_of(key, last, maxbytes)
    if last == nil then
        return 0, nil, 0
    elseif last.bytes == nil then
        return count_bytes(key, maxbytes)
    end
    local through, first, before = match(last.bytes, '^(%d+) (%d+%-%d+) (%d+)$')
    return to_number(through), first, to_number(before)
end

-- Drops the oldest of the events before `id` until all up to there, which have `through` bytes, are no more than `maxbytes`.
-- Returns the oldest that stays, and the bytes before it. What this needs of the entries is remembered, or read.
local function oldest_within(key, m, first, before, through, maxbytes, id)
    while first ~= id and through - before > maxbytes do
        local at = m.first
        if m.ids[at] == first then
            first, before = m.ids[at + 1] or id, m.through[at]
            m.ids[at], m.through[at], m.first, m.things = nil, nil, at + 1, m.things - 1
        else
            local page = call('XRANGE', key, first, '+', 'COUNT', '2')
            if page[1] and page[1][1] ~= first then
                first = page[1][1] -- those before it have been trimmed for another reason
                before = max(before, entry_through(page[1], before) - size_of(page[1][2][6], page[1][2][10]))
            else
                before = page[1] and entry_through(page[1], before) or through
                first = page[2] and page[2][1] or id
            end
        end
    end
    return first, before
end
