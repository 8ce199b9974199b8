-- Of the channels whose bytes are bounded: the oldest event that there is room for (`window`) and the bytes of all events
-- before that (`before`); the bytes of all (`total`); and of the newest events, from index `first` to `newest`, the oldest
-- first, their ids and the bytes of all events up to each. No more than `limit` are remembered.
--
-- An event that was trimmed by bytes carries the field `bytes`, "THROUGH WINDOW BEFORE": the bytes of all events up to this
-- one, and of the same reckoning the two above. So a script, or a function that remembers nothing of a channel, reads back to
-- the newest of these, which is TRIM_EVERY entries away at most.
local SIZED = new_memory()
local PAGE = 16

local function size_of(event, data)
    return #event + #data + ENTRY_BYTES
end

local function entry_size(entry)
    check_entry('', entry[2])
    return size_of(entry[2][6], entry[2][10])
end

local function entry_through(entry)
    return to_number(match(field_of(entry[2], 'bytes') or '', '^%d+'))
end

local function push_size(m, id, through)
    m.newest = m.newest + 1
    m.ids[m.newest], m.through[m.newest], m.last, m.total = id, through, id, through
    if m.newest - m.first >= m.limit then
        m.ids[m.first], m.through[m.first], m.first = nil, nil, m.first + 1
    else
        m.things, SIZED.count = m.things + 1, SIZED.count + 1
    end
end

local function new_sizes(window, before, limit)
    return {window = window, before = before, total = 0, ids = {}, through = {}, first = 1, newest = 0, limit = limit,
        things = CHANNEL_THINGS}
end

-- The newest entries, the newest first: back to one that says its bytes, which is returned, too, or as far as there is room
-- for them. Whether there is more is the third value.
local function newest_sizes(key, maxbytes)
    local ids, sizes, total, from = {}, {}, 0, '+'
    while true do
        local page = call('XREVRANGE', key, from, '-', 'COUNT', PAGE)
        for _, entry in ipairs(page) do
            local size, n = entry_size(entry), #ids
            if entry_through(entry) then
                return ids, sizes, false, entry
            elseif n > 0 and total + size > maxbytes then
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

local function read_sizes(key, maxbytes, limit)
    local ids, sizes, is_more, said = newest_sizes(key, maxbytes)
    local through, m = 0, nil
    if said then
        local window, before
        through, window, before = match(field_of(said[2], 'bytes'), '^(%d+) (%d+%-%d+) (%d+)$')
        m = new_sizes(window, to_number(before), limit)
        through = to_number(through)
        push_size(m, said[1], through)
    else
        m = new_sizes(ids[#ids], 0, limit)
        m.is_ahead = is_more
    end
    for i = #ids, 1, -1 do
        through = through + sizes[i]
        push_size(m, ids[i], through)
    end
    remember(SIZED, key, m, CHANNEL_THINGS)
    return m
end

-- The bytes of all events before the entry with which `page` begins.
local function bytes_before(key, m, page)
    local total = 0
    while #page > 0 do
        for _, entry in ipairs(page) do
            local through = entry_through(entry)
            total = total + entry_size(entry)
            if through then
                return through - total
            end
        end
        page = call('XRANGE', key, '(' .. page[#page][1], '+', 'COUNT', PAGE)
    end
    return m.total - total
end

-- Moves the window over entries of which nothing is remembered, as far as one page of them reaches.
local function shrink_by_reading(key, m, excess_from, id)
    local page = call('XRANGE', key, m.window, '+', 'COUNT', PAGE)
    if #page == 0 then -- all of them were deleted
        m.window, m.before = id, m.total
        return
    end
    if page[1][1] ~= m.window then -- the entries before it were trimmed for another reason
        m.window, m.before = page[1][1], max(m.before, bytes_before(key, m, page))
    end
    for i, entry in ipairs(page) do
        if m.before >= excess_from then
            break
        end
        m.before = entry_through(entry) or m.before + entry_size(entry)
        local after = page[i + 1] or call('XRANGE', key, '(' .. entry[1], '+', 'COUNT', 1)[1]
        m.window = after and after[1] or id
        if after and entry_through(after) then
            m.before = max(m.before, entry_through(after) - entry_size(after))
        end
    end
    local window = offset_of(m.window)
    while m.first <= m.newest and offset_of(m.ids[m.first]) < window do
        m.ids[m.first], m.through[m.first], m.first, m.things = nil, nil, m.first + 1, m.things - 1
    end
end

-- Moves the window until at least `excess_from` bytes are before it, or it begins with `id`, the first new event.
local function shrink(key, m, excess_from, id)
    while m.window ~= id and m.before < excess_from do
        local at = m.first
        if m.ids[at] == m.window then
            m.window, m.before = m.ids[at + 1] or id, m.through[at]
            m.ids[at], m.through[at], m.first, m.things = nil, nil, at + 1, m.things - 1
        else
            shrink_by_reading(key, m, excess_from, id)
        end
    end
end

local function are_bytes_due(maxbytes, size)
    return maxbytes < TRIM_SMALL_BYTES or size > maxbytes / TRIM_PART
end

-- Makes room for new events, the first of which is `id`, with which there are `through` bytes in all. Returns the oldest
-- entry to be kept, or nil where none is to be dropped.
local function make_room(key, m, through, maxbytes, id)
    local window = m.window
    m.last = nil -- what is reckoned here is of use only if the events are added: push_size says that they were
    shrink(key, m, through - maxbytes, id)
    if m.window == window and not m.is_ahead then
        return nil
    end
    m.is_ahead = nil
    return m.window
end

local function bytes_text(m, through)
    return decimal(through) .. ' ' .. m.window .. ' ' .. decimal(m.before)
end
