-- Of the channels that are published to with option key: the id of the event for each key of the newest events, and
-- the key and the id for each offset, modulo KEYS_KEPT.
local KEYED = new_memory()

local function offset_of(id)
    return to_number(sub(id, find(id, '-', 1, true) + 1))
end

local function ms_of(id)
    return sub(id, 1, find(id, '-', 1, true) - 1)
end

local function put_key(m, key, id, offset)
    local slot = offset % KEYS_KEPT
    local old = m.keys[slot]
    if old == nil then
        count_thing(KEYED, m)
    elseif m.ids[old] == m.slots[slot] then
        m.ids[old] = nil
    end
    m.keys[slot], m.slots[slot], m.ids[key] = key, id, id
end

local function new_keys(key)
    local m = {ids = {}, keys = {}, slots = {}, things = CHANNEL_THINGS}
    remember(KEYED, key, m)
    return m
end

local function read_keys(key, last)
    local m, entries = new_keys(key), call('XREVRANGE', key, '+', '-', 'COUNT', KEYS_KEPT)
    for i = #entries, 1, -1 do
        local id, fields = entries[i][1], entries[i][2]
        local published_with = field_of(fields, 'key')
        if published_with then
            put_key(m, published_with, id, offset_of(id))
        end
    end
    m.last = last
    return m
end

-- The offset of the event that was published with this key, if it is among the newest and still kept.
local function find_key(key, last, offset, wanted)
    local m = recall(KEYED, key, last) or read_keys(key, last)
    local id = m.ids[wanted]
    local found = id and offset_of(id)
    if found == nil or offset - found >= KEYS_KEPT or #call('XREVRANGE', key, id, id, 'COUNT', 1) == 0 then
        return nil
    end
    return found
end

-- The event `id` was appended behind `last`, with this key or none.
local function remember_key(key, last, id, offset, begins, published_with)
    local m = recall(KEYED, key, last)
    if begins and published_with then
        m = new_keys(key)
    end
    if m then
        if published_with then
            put_key(m, published_with, id, offset)
        end
        m.last = id
    end
end
