-- Of the channels whose bytes are bounded: the offset and the id of the oldest event that there is room for (`window`,
-- `window_id`) and the bytes of all events before that (`before`); the bytes of all (`total`); and of the newest events, from
-- offset `first` to `newest`, their times (the first half of an id; the other is the offset) and the bytes of all events up to
-- each, at the offset modulo `limit`: no more than that many are remembered. Times rather than ids, since many events have the
-- same: Lua's garbage collector steps over all that is remembered again and again.
--
-- An event at which entries were dropped by bytes may carry the field `bytes`, "THROUGH WINDOW BEFORE": the bytes of all events
-- up to this one, and of the same reckoning the window's id and the bytes before it. So a script, or a function that remembers
-- nothing of a channel, reads back to the newest of these: SAY_EVERY entries away at most, where all that publish give maxbytes.
local SIZED = new_memory()
local PAGE = 16

local function size_of(event, data)
    return #event + #data + ENTRY_BYTES
end

local function entry_size(key, entry)
    check_entry(key, entry[2])
    return size_of(entry[2][6], entry[2][10])
end

-- What the field `bytes` of an entry says; nil where it has none, or one that is no such field.
local function said_bytes(entry)
    return match(field_of(entry[2], 'bytes') or '', '^(%d+) (%d+%-%d+) (%d+)$')
end

local function entry_through(entry)
    local through = said_bytes(entry)
    return through and to_number(through)
end

local function push_size(m, offset, ms, through)
    local slot, times = offset % m.limit, m.times
    if times[slot] == nil then
        count_thing(SIZED, m)
    end
    times[slot], m.through[slot] = ms, through
    m.newest, m.total = offset, through
end

-- How many events' sizes are remembered for a publisher that keeps `maxlen`.
local function sizes_limit(maxlen)
    return maxlen + BATCH_MAX < SIZES_KEPT and maxlen + BATCH_MAX or SIZES_KEPT
end

local function new_sizes(key, first, window_id, before, limit)
    local m = {first = first, newest = first - 1, window = offset_of(window_id), window_id = window_id, before = before,
        total = 0, times = {}, through = {}, limit = limit, things = CHANNEL_THINGS}
    remember(SIZED, key, m)
    return m
end

-- The newest entries, the newest first: back to one that says its bytes, which is returned, too, or as far as there is room
-- for them, `most` at most. Whether there is more is the third value.
local function newest_sizes(key, maxbytes, most)
    local ids, sizes, total, from = {}, {}, 0, '+'
    while true do
        local page = call('XREVRANGE', key, from, '-', 'COUNT', PAGE)
        for _, entry in ipairs(page) do
            local size, n = entry_size(key, entry), #ids
            if entry_through(entry) then
                return ids, sizes, false, entry
            elseif n > 0 and (n == most or total + size > maxbytes) then
                return ids, sizes, true, nil
            end
            ids[n + 1], sizes[n + 1], total = entry[1], size, total + size
        end
        if #page < PAGE then
            return ids, sizes, false, nil
        end
        from = '(' .. page[PAGE][1]
    end
end

-- What is older than the newest `maxlen` entries is not wanted: it is dropped for their number.
local function read_sizes(key, maxbytes, maxlen, limit)
    local ids, sizes, is_more, said = newest_sizes(key, maxbytes, maxlen)
    local through, m = 0, nil
    if said then
        local window_id, before
        through, window_id, before = said_bytes(said)
        through = to_number(through)
        m = new_sizes(key, offset_of(said[1]), window_id, to_number(before), limit)
        push_size(m, m.first, ms_of(said[1]), through)
    else
        m = new_sizes(key, offset_of(ids[#ids]), ids[#ids], 0, limit)
        m.is_ahead = is_more
    end
    local remembered = #ids > 0 and offset_of(ids[1]) - limit + 1 -- of what is before that, nothing stays in the ring
    for i = #ids, 1, -1 do
        local offset, ms = offset_of(ids[i]), ms_of(ids[i])
        for deleted = max(m.newest + 1, remembered), offset - 1 do -- as if it had no bytes
            push_size(m, deleted, ms, through)
        end
        through = through + sizes[i]
        push_size(m, offset, ms, through)
    end
    return m
end

-- The bytes of all events before the entry with which `page` begins.
local function bytes_before(key, m, page)
    local total = 0
    while #page > 0 do
        for _, entry in ipairs(page) do
            local through = entry_through(entry)
            total = total + entry_size(key, entry)
            if through then
                return through - total
            end
        end
        page = call('XRANGE', key, '(' .. page[#page][1], '+', 'COUNT', PAGE)
    end
    return m.total - total
end

-- Moves the window over entries of which nothing is remembered, as far as one page of them reaches. `offset` and `id` are those
-- of the first new event.
local function shrink_by_reading(key, m, excess_from, offset, id)
    local page = call('XRANGE', key, m.window_id, '+', 'COUNT', PAGE)
    if #page == 0 then -- all of them were deleted
        m.window, m.window_id, m.before = offset, id, m.total
        return
    end
    local window_id, before = page[1][1], m.before
    if window_id ~= m.window_id then -- the entries before it were trimmed for another reason
        before = max(before, bytes_before(key, m, page))
    end
    for i, entry in ipairs(page) do
        if before >= excess_from then
            break
        end
        before = entry_through(entry) or before + entry_size(key, entry)
        local after = page[i + 1] or call('XRANGE', key, '(' .. entry[1], '+', 'COUNT', 1)[1]
        window_id = after and after[1] or id
        if after and entry_through(after) then
            before = max(before, entry_through(after) - entry_size(key, after))
        end
    end
    m.window, m.window_id, m.before = offset_of(window_id), window_id, before
end

-- Moves the window until at least `excess_from` bytes are before it, or it begins with the first new event, which has the
-- offset `offset` and the id `id`.
local function shrink(key, m, excess_from, offset, id)
    local through, limit, known_from = m.through, m.limit, max(m.first, m.newest - m.limit + 1)
    local window, before = m.window, m.before
    while before < excess_from and window < offset do
        if window >= known_from then
            before = through[window % limit]
            window = window + 1
        else
            shrink_by_reading(key, m, excess_from, offset, id)
            window, before = m.window, m.before
        end
    end
    if window > m.window then
        m.window, m.before = window, before
        m.window_id = window < offset and m.times[window % limit] .. '-' .. decimal(window) or id
    end
end

-- Makes room for new events, the first of which has the offset `offset` and the id `id`, and with which there are `through`
-- bytes in all. Returns the oldest entry to be kept, or nil where none is to be dropped.
local function make_room(key, m, through, maxbytes, offset, id)
    local window_id = m.window_id
    m.last = nil -- what is reckoned here is of use only if the events are added: who adds them sets it again
    shrink(key, m, through - maxbytes, offset, id)
    if m.window_id == window_id and not m.is_ahead then
        return nil
    end
    m.is_ahead = nil
    return m.window_id
end

local function bytes_text(m, through)
    return decimal(through) .. ' ' .. m.window_id .. ' ' .. decimal(m.before)
end
